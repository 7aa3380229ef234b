"""What schemathesis has to know of this API beyond its document: who asks, and which rules no schema can say."""

import json
import os
import urllib.request
import uuid

import schemathesis
from schemathesis.specs.openapi.checks import positive_data_acceptance

URL = os.environ["CONTRACT_URL"]
# After these nobody is signed in any more: each call is somebody else's last.
LAST_CALLS = {"delete_me", "logout"}
# What a problem may say of a request that fits its schema: rules that JSON Schema has no words for.
RULES = (
    # Texts are trimmed; names are one line.
    "not counting spaces at either end", "control character",
    # Currencies, time zones, addresses: lists that change, and a form that is more than a pattern.
    "unknown currency", "unknown time zone", "must be a plain e-mail address",
    # What an amount may be depends on its currency, on what it is for, and on what is there.
    "too many decimals", "amount out of range", "amount must be greater than zero", "malformed amount",
    "would leave the range of amounts", "give the amount in ",
    # What goes together: the two sides of a transfer, splits that make their booking; what a search must hold.
    "only a transfer has this", "a transfer ", "both wallets are in ", "give what arrives there", "a booking is split into ",
    "the categories are those of the splits", "they make ", "is archived", "write a word to search for", "at most 8 words",
    "of your words begin with",
    # Rates: of how many digits, between what, and of which day.
    "too many digits", "rate out of range", "a rate must be greater than zero", "a rate is between two currencies",
    "this day has not come",
    # Recurring bookings: what RFC 5545 says, as far as bookings follow it, and which days there are.
    "a rule of RFC 5545", "is not for bookings", "is said twice", "FREQ is ", "is a number from ", "UNTIL is a day",
    "COUNT or UNTIL", "counts days of the week", "days of the week are counted", "does not go with FREQ=WEEKLY", "BYSETPOS chooses", "ends before it begins",
    "comes on no day", "does not come on this day", "is booked already", "a rule begins within",
    # Nobody's money is older.
    "a day is written YYYY-MM-DD, from 1900-01-01",
    # What refers to something: cursors, positions, keys, things of one's own; how many of them there may be.
    "not a cursor of this list", "not a position", "the key was used for another request", "there is no such",
    # Rules: what is asked how, and what it may cost.
    "texts are asked with ", "must be a decimal such as ", "must be the id of a wallet", "must be income, expense",
    "must be a regular expression", "this regular expression is too large", "is a regular expression",
    "a rule sets a category",
    # Notifications: what goes together, and whose a link is.
    "quiet hours end at another time", "say ok when your address takes", "this is no link of a mail",
    # Personal access tokens: until when.
    "this moment has passed", "good for ten years",
    # Goals and budgets that carry over.
    "this wallet is in ", "this goal follows a wallet", "there are only ", "with rollover, at most ",
    "the parent must be ", "cannot have a parent", "no more fit",
)


def register():
    person = {"email": f"{uuid.uuid4()}@example.com", "password": uuid.uuid4().hex, "currency": "EUR"}
    request = urllib.request.Request(f"{URL}/v1/auth/register", json.dumps(person).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["access_token"]


@schemathesis.auth(refresh_interval=None)
class SignedIn:
    """One person for all calls, but for the last ones."""

    token = None

    def get(self, case, _context):
        if case.operation.definition.raw.get("operationId") in LAST_CALLS:
            return register()
        SignedIn.token = SignedIn.token or register()
        return SignedIn.token

    def set(self, case, token, _context):
        case.headers["Authorization"] = f"Bearer {token}"


@schemathesis.hook
def map_query(_context, query):
    """A place in the log that is reached: otherwise each of these waits for two seconds."""
    place = (query or {}).get("wait_for")
    if isinstance(place, str) and place.isascii() and place.isdigit():
        query["wait_for"] = place[:1]
    return query


@schemathesis.check
def what_fits_the_schema_is_taken(ctx, response, case):
    """positive_data_acceptance, but for what a rule says that no schema can."""
    if response.status_code == 422:
        problem = response.json()
        told = [it["detail"] for it in problem.get("errors", [])] or [problem["detail"]]
        if all(any(rule in detail for rule in RULES) for detail in told):
            return None
    return positive_data_acceptance(ctx, response, case)

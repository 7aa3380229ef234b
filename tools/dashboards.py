#!/usr/bin/env python3
"""Writes the dashboards of Grafana in dashboards/: every panel is described once, here.

In queries <app>, <sidecar>, <kafka> and <exporter> stand for the labels that choose the series of the product, of
the Dapr sidecars, of the brokers and of kafka-exporter; <logs> for those that choose the lines of its log.

    dashboards.py            writes dashboards/*.json anew
    dashboards.py --check    writes nothing; exit code 1 when a file differs from what would be written
"""

import argparse
import json
import pathlib
import re
import sys
import urllib.parse

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "dashboards"
TAG = "wealth-companion"
COLUMNS = 24

SELECTORS = {
    "<app>": 'job="wealth-companion", namespace="$namespace", role=~"$role"',
    "<sidecar>": 'job="dapr-sidecar", namespace="$namespace", role=~"$role"',
    "<kafka>": 'job="kafka", namespace="$namespace"',
    "<exporter>": 'job="kafka-exporter", namespace="$namespace"',
    "<ours>": 'consumergroup=~"wealth-companion-(projector|notifier)"',
    "<logs>": 'service="wealth-companion", namespace="$namespace", role=~"$role|all"',
}

GREEN, YELLOW, RED = "green", "yellow", "red"


# ---- Queries ----------------------------------------------------------------------------------------------------


def source(kind):
    return {"type": kind, "uid": "${%s}" % kind}


def filled(text):
    for short, selector in SELECTORS.items():
        text = text.replace(short, selector)
    return text


def prom(expr, legend="", instant=False):
    query = {"datasource": source("prometheus"), "expr": filled(expr), "legendFormat": legend or "__auto"}
    return {**query, "instant": instant, "range": not instant}


def loki(expr, legend="", instant=False, lines=None):
    query = {"datasource": source("loki"), "expr": filled(expr), "queryType": "instant" if instant else "range"}
    if legend:
        query["legendFormat"] = legend
    if lines:
        query["maxLines"] = lines
    return query


def rate(metric, by, selector="<app>"):
    return "sum by (%s) (rate(%s{%s}[$__rate_interval]))" % (by, metric, selector)


def quantiles(histogram, *qs, by="", selector="<app>"):
    """One query for each quantile; with `by`, one series for each value of that label."""
    groups = f"le, {by}" if by else "le"
    each = " {{%s}}" % by if by else ""
    return [
        prom("histogram_quantile(%s, %s)" % (q, rate(histogram + "_bucket", groups, selector)), f"p{q * 100:g}{each}")
        for q in qs
    ]


def share_over(histogram, le):
    """The share of what took longer than the bucket `le`. Prometheus 3 writes 5.0 where 2 has 5."""
    bucket = le if "." in le else f"{le}|{le}\\\\.0"
    within = rate(histogram + "_bucket", "namespace", f'<app>, le=~"{bucket}"')
    return "1 - %s / %s" % (within, rate(histogram + "_count", "namespace"))


# ---- Panels -----------------------------------------------------------------------------------------------------


def steps(*pairs):
    """steps((0.9, YELLOW), (0.99, GREEN)): red below, then what is named. The first colour is that of no limit."""
    first, rest = (pairs[0], pairs[1:]) if isinstance(pairs[0], str) else (GREEN, pairs)
    return {"mode": "absolute", "steps": [{"color": color, "value": value} for value, color in ((None, first), *rest)]}


def panel(kind, title, text, targets, unit, *, w=8, h=7, limits=None, kind_of="prometheus", options=None, **defaults):
    targets = targets if isinstance(targets, list) else [targets]
    field = {"unit": unit, "thresholds": limits or steps(GREEN), **defaults} if unit else dict(defaults)
    return {
        "type": kind,
        "title": title,
        "description": text,
        "datasource": source(kind_of),
        "targets": [{"refId": chr(ord("A") + n), **target} for n, target in enumerate(targets)],
        "gridPos": {"w": w, "h": h},
        "fieldConfig": {"defaults": field, "overrides": []},
        "options": options or {},
    }


def graph(title, text, targets, unit, *, stacked=False, bars=False, limits=None, **more):
    custom = {
        "drawStyle": "bars" if bars else "line",
        "fillOpacity": 40 if stacked or bars else 8,
        "lineWidth": 1,
        "showPoints": "never",
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if limits else "off"},
    }
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    more.setdefault("min", 0)
    return panel("timeseries", title, text, targets, unit, limits=limits, options=options, custom=custom, **more)


def number(title, text, target, unit, limits, *, w=4, h=4, line=True, **more):
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "area" if line else "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "auto",
        "wideLayout": True,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
    }
    return panel("stat", title, text, target, unit, limits=limits, w=w, h=h, options=options, **more)


def states(title, text, target, words, *, w=12, h=6):
    """How something stood over time: words[value] is (text, colour)."""
    mapping = {str(value): {"text": word, "color": colour, "index": value} for value, (word, colour) in words.items()}
    options = {
        "showValue": "never",
        "mergeValues": True,
        "alignValue": "left",
        "rowHeight": 0.8,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return panel("state-timeline", title, text, target, "none", w=w, h=h, options=options,
                 custom={"fillOpacity": 70, "lineWidth": 0}, mappings=[{"type": "value", "options": mapping}])


def of_table(sort):
    return {"frameIndex": 0, "showHeader": True, "cellHeight": "sm", "sortBy": [{"displayName": sort, "desc": True}]}


def table(title, text, targets, columns, *, sort, w=24, h=10):
    """columns: {field: (heading, unit or None, limits or None)}; what is not among them is hidden."""
    queries = [{**target, "format": "table"} for target in targets]
    it = panel("table", title, text, queries, "short", w=w, h=h, options=of_table(sort))
    for heading, unit, limits in columns.values():
        properties = [{"id": "unit", "value": unit}] if unit else []
        if limits:
            properties += [{"id": "thresholds", "value": limits},
                           {"id": "custom.cellOptions", "value": {"type": "color-text"}}]
        if properties:
            it["fieldConfig"]["overrides"].append(
                {"matcher": {"id": "byName", "options": heading}, "properties": properties})
    it["transformations"] = [
        {"id": "merge", "options": {}},
        {"id": "filterFieldsByName", "options": {"include": {"names": list(columns)}}},
        {"id": "organize", "options": {
            "renameByName": {field: heading for field, (heading, _, _) in columns.items()},
            "indexByName": {field: n for n, field in enumerate(columns)},
            "excludeByName": {},
        }},
    ]
    return it


def row(title, *panels):
    return title, panels


# ---- The dashboard around them ----------------------------------------------------------------------------------


def chosen(name, label, query, hidden=0):
    """A variable that asks Prometheus for its values."""
    return {"type": "query", "name": name, "label": label, "hide": hidden, "datasource": source("prometheus"),
            "query": query, "refresh": 2, "sort": 1}


def datasource(kind):
    return {"type": "datasource", "name": kind, "label": kind.capitalize(), "hide": 0, "query": kind, "refresh": 1}


def textbox(name, label, value=""):
    it = {"text": value, "value": value}
    return {"type": "textbox", "name": name, "label": label, "hide": 0, "query": value, "current": it,
            "options": [{**it, "selected": True}]}


def choice(name, label, values, several=False):
    """A variable with given values: the first of them, or all where several may be chosen."""
    first = everything() if several else {"text": values[0], "value": values[0]}
    options = [{"text": it, "value": it, "selected": it == first["value"]} for it in values]
    it = {"type": "custom", "name": name, "label": label, "hide": 0, "query": ",".join(values), "options": options,
          "current": first}
    return {**it, "multi": True, "includeAll": True, "allValue": ".*"} if several else it


def everything():
    return {"text": "All", "value": "$__all"}


def variables(own):
    role = chosen("role", "Role", 'label_values(wealth_build_info{namespace="$namespace"}, role)')
    return [
        datasource("prometheus"),
        datasource("loki"),
        datasource("jaeger"),
        chosen("namespace", "Namespace", "label_values(wealth_build_info, namespace)"),
        {**role, "multi": True, "includeAll": True, "allValue": ".*", "current": everything()},
        *own,
    ]


def placed(rows):
    """The panels with their places: from left to right, a new line where one does not fit."""
    out, top = [], 0
    for title, panels in rows:
        out.append({"type": "row", "title": title, "collapsed": False, "panels": [],
                    "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1}})
        left, top, tallest = 0, top + 1, 0
        for it in panels:
            size = it["gridPos"]
            if left + size["w"] > COLUMNS:
                left, top, tallest = 0, top + tallest, 0
            it["gridPos"] = {"x": left, "y": top, **size}
            left, tallest = left + size["w"], max(tallest, size["h"])
            out.append(it)
        top += tallest
    return [{"id": n, **it} for n, it in enumerate(out, 1)]


def dashboard(name, title, text, rows, own_variables=()):
    others = {"title": "Wealth Companion", "type": "dashboards", "tags": [TAG], "asDropdown": True, "includeVars": True,
              "keepTime": True, "targetBlank": False, "icon": "external link", "tooltip": ""}
    restarts = {
        "name": "Starts",
        "datasource": source("prometheus"),
        "enable": True,
        "iconColor": "blue",
        "expr": filled("process_start_time_seconds{<app>} * 1000"),
        "useValueForTime": True,
        "titleFormat": "start of {{role}} {{pod}}",
        "step": "60s",
    }
    return {
        "uid": f"wealth-{name}",
        "title": f"Wealth Companion / {title}",
        "description": text,
        "tags": [TAG],
        "timezone": "browser",
        "editable": True,
        "graphTooltip": 1,
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "links": [others],
        "annotations": {"list": [restarts]},
        "templating": {"list": variables(own_variables)},
        "panels": placed(rows),
    }


# ---- What is on them --------------------------------------------------------------------------------------------


def burn(slo):
    """How fast the budget of an objective is used up, over the windows that the alerts look at."""
    budget = {"availability": 0.001, "latency": 0.01, "alerts": 0.01}[slo]
    return [prom('wealth:slo_%s:bad_ratio_rate%s{namespace="$namespace"} / %s' % (slo, window, budget), window)
            for window in ("5m", "1h", "6h", "3d")]


def left_of(slo, budget):
    return prom('1 - wealth:slo_%s:bad_ratio_rate3d{namespace="$namespace"} / %s' % (slo, budget))


LEFT = steps(RED, (0, YELLOW), (0.5, GREEN))
BURN = steps((1, YELLOW), (14.4, RED))
NONE = steps((1, RED))
BURN_TEXT = ("1 means that errors come just as fast as the objective allows over 30 days; 14.4 uses up two days' "
             "worth in an hour and pages. Good: below 1. When 5m and 1h are both high it happens now: see the rows "
             "below for the route, then the runbook.")


def overview():
    return dashboard("overview", "Overview", "Whether people are served: the objectives, then each route.", [
        row("Objectives",
            number("Availability, 3 days", "Share of requests that were not answered with 5xx. The objective is 99.9 "
                   "%. When it is below: see 'Failures by route', then the log of those requests in Investigate.",
                   prom('1 - wealth:slo_availability:bad_ratio_rate3d{namespace="$namespace"}'),
                   "percentunit", steps(RED, (0.999, GREEN)), decimals=3),
            number("Its budget left", "What is left of the failures that the objective allows in three days. Below "
                   "zero the objective is missed: repairs go before features.",
                   left_of("availability", 0.001), "percentunit", LEFT),
            number("Within 250 ms, 3 days", "Share of requests whose answer began within 250 ms; the objective is 99 "
                   "%. Reads with ?wait_for= wait for the projector on purpose, up to 2 s, and count.",
                   prom('1 - wealth:slo_latency:bad_ratio_rate3d{namespace="$namespace"}'),
                   "percentunit", steps(RED, (0.99, GREEN)), decimals=2),
            number("Its budget left", "What is left of the slow requests that the objective allows in three days. "
                   "Below zero: see 'Slowest routes', then the database on Runtime.",
                   left_of("latency", 0.01), "percentunit", LEFT),
            number("Alerts within 5 s, 3 days", "Share of alerts that were on an open stream within 5 s of the booking "
                   "that caused them; the objective is 99 %. When it is below, Pipeline shows the hop that is slow.",
                   prom('1 - wealth:slo_alerts:bad_ratio_rate3d{namespace="$namespace"}'),
                   "percentunit", steps(RED, (0.99, GREEN)), decimals=2),
            number("Its budget left", "What is left of the late alerts that the objective allows in three days. Below "
                   "zero: see Pipeline.", left_of("alerts", 0.01), "percentunit", LEFT),
            graph("Availability: how fast the budget burns", BURN_TEXT, burn("availability"), "short", limits=BURN),
            graph("Latency: how fast the budget burns", BURN_TEXT, burn("latency"), "short", limits=BURN),
            graph("Alerts: how fast the budget burns", BURN_TEXT, burn("alerts"), "short", limits=BURN)),
        row("Now",
            number("Requests", "Requests answered each second. It follows the day of the users; a fall to zero while "
                   "they are awake means that they do not reach us: look at the ingress.",
                   prom("sum(rate(wealth_http_requests_total{<app>}[$__rate_interval]))"), "reqps", steps(GREEN)),
            number("Bookings", "Bookings committed each second. Compare with the same hour of the day before.",
                   prom('sum(rate(wealth_log_events_appended_total{<app>, type="finance.transaction.created"}'
                        "[$__rate_interval]))"), "ops", steps(GREEN)),
            number("Open streams", "Clients that listen for alerts. A sudden fall means that streams were cut: a "
                   "rollout, or a proxy that ends long answers.",
                   prom("sum(wealth_streams_open{<app>})"), "short", steps(GREEN)),
            number("Alerts made", "Alerts made in the last hour, by the notifier.",
                   prom("sum(increase(wealth_alerts_created_total{<app>}[1h]))"), "short", steps(GREEN), decimals=0),
            number("Oldest unpublished", "Age of the oldest event that is not on the bus yet. Good: below a second or "
                   "two; when it rises the relay, the sidecar or Kafka is in trouble: see Pipeline.",
                   prom("max(wealth_relay_oldest_unpublished_seconds{<app>})"), "s", steps((10, YELLOW), (120, RED))),
            number("Dead letters", "Events set aside for a person since the processes started. Good: none. Otherwise "
                   "`wealth-companion dlq list` tells which and why.",
                   prom("sum(wealth_dead_letters_total{<app>}) or vector(0)"), "short", NONE, decimals=0)),
        row("Each route: rate, errors, duration",
            graph("Requests by status", "Requests answered each second by status. 2xx carry the day; 4xx are clients' "
                  "mistakes, and a jump after a release of a client is worth a look; 5xx are ours.",
                  prom(rate("wealth_http_requests_total", "status"), "{{status}}"), "reqps", stacked=True),
            graph("Failures by route", "Answers with 5xx each second by route. Good: nothing. 503 everywhere is the "
                  "database, 504 or 500 on one route is a defect or a slow query there: take a trace from Investigate.",
                  prom(rate("wealth_http_requests_total", "route, status", '<app>, status=~"5.."'),
                       "{{route}} {{status}}"), "reqps", bars=True),
            graph("Duration of answers", "How long answers take until they begin, over all routes. Good: p99 below the "
                  "250 ms of the objective.", quantiles("wealth_http_request_duration_seconds", 0.5, 0.95, 0.99), "s",
                  limits=steps((0.25, RED))),
            table("Routes", "Each route with its rate, its share of 5xx and its p99 over the range shown above. Sort "
                  "by a column; the top of 'p99' is what to make faster, the top of 'failed' what to mend.", [
                      prom("sum by (method, route) (rate(wealth_http_requests_total{<app>}[$__range]))", instant=True),
                      prom('sum by (method, route) (rate(wealth_http_requests_total{<app>, status=~"5.."}[$__range])) '
                           "/ on (method, route) "
                           "sum by (method, route) (rate(wealth_http_requests_total{<app>}[$__range]))", instant=True),
                      prom("histogram_quantile(0.5, sum by (le, method, route) "
                           "(rate(wealth_http_request_duration_seconds_bucket{<app>}[$__range])))", instant=True),
                      prom("histogram_quantile(0.99, sum by (le, method, route) "
                           "(rate(wealth_http_request_duration_seconds_bucket{<app>}[$__range])))", instant=True),
                  ], {
                      "method": ("method", None, None),
                      "route": ("route", None, None),
                      "Value #A": ("rate", "reqps", None),
                      "Value #B": ("failed", "percentunit", steps((0.001, RED))),
                      "Value #C": ("p50", "s", None),
                      "Value #D": ("p99", "s", steps((0.25, YELLOW), (1, RED))),
                  }, sort="rate")),
        row("People",
            graph("Attempts to sign in", "By outcome. Many failures at once are somebody who guesses passwords: the "
                  "limits hold them off; look at the addresses in the log of the ingress.",
                  prom(rate("wealth_sign_in_total", "outcome"), "{{outcome}}"), "ops", stacked=True, w=12),
            graph("Refused for too many requests", "Requests answered with 429. A little is a client in a loop; much, "
                  "over many users, is a limit that is too small (limits.requests_per_minute).",
                  prom("sum(rate(wealth_rate_limited_total{<app>}[$__rate_interval]))", "refused"), "reqps", w=12)),
    ])


def pipeline():
    consumers = "projector and notifier"
    return dashboard("pipeline", "Pipeline", "From a booking to its alert: log, relay, bus, consumers, stream.", [
        row("From end to end",
            graph("Booking to alert", "Time from a booking to its alert on an open stream. Good: p99 below the 5 s of "
                  "the objective, and usually far below one. When it rises, the next rows show "
                  "which hop holds events up.",
                  quantiles("wealth_alert_delay_seconds", 0.5, 0.95, 0.99), "s", limits=steps((5, RED)), w=12),
            graph("Rate at each hop", "Events each second at each hop. What enters the log should come out at the "
                  "others a moment later; the first line that stays behind names the hop to look at.", [
                      prom("sum(rate(wealth_log_events_appended_total{<app>}[$__rate_interval]))", "1 log"),
                      prom("sum(rate(wealth_relay_published_events_total{<app>}[$__rate_interval]))", "2 relay"),
                      prom(rate("wealth_consumer_events_handled_total", "consumer"), "3 {{consumer}}"),
                      prom("sum(rate(wealth_alerts_created_total{<app>}[$__rate_interval]))", "4 alerts made"),
                      prom("sum(rate(wealth_alerts_delivered_total{<app>}[$__rate_interval]))", "5 on streams"),
                  ], "ops", w=12)),
        row("Log and relay",
            graph("Events into the log by type", "Events committed each second. It follows the users.",
                  prom(rate("wealth_log_events_appended_total", "type"), "{{type}}"), "ops", stacked=True),
            graph("Age of the oldest unpublished event", "How long the oldest event waits for the relay. Good: near "
                  "zero. When it rises steadily nothing is published: look at 'Relay failures', the sidecar and "
                  "Kafka. Nothing is lost meanwhile.",
                  prom("max(wealth_relay_oldest_unpublished_seconds{<app>})", "age"), "s",
                  limits=steps((10, YELLOW), (120, RED))),
            graph("Unpublished events", "Events in the log that the bus does not have. Good: near zero; a hill that "
                  "goes down again was a pause of the bus.",
                  prom("max(wealth_relay_unpublished_events{<app>})", "events"), "short"),
            graph("Relay failures", "Batches that the bus did not take, for each minute. Good: none. The log says why "
                  "('relay: will try again').",
                  prom("sum by (role) (rate(wealth_relay_failures_total{<app>}[$__rate_interval])) * 60", "{{role}}"),
                  "short", bars=True),
            graph("Events in a batch", "How many events the relay publishes together. It grows with the load; at "
                  "bus.batch_max (200) the relay works as hard as it can.",
                  prom("sum(rate(wealth_relay_published_events_total{<app>}[$__rate_interval])) / "
                       "sum(rate(wealth_relay_batches_total{<app>}[$__rate_interval]))", "events"), "short"),
            graph("Wake-ups between processes", "Wake-ups sent and heard over Redis. Bookings without any mean that "
                  "Redis is away, and that alerts come after a poll instead of at once.", [
                      prom("sum(rate(wealth_hints_sent_total{<app>}[$__rate_interval]))", "sent"),
                      prom("sum(rate(wealth_hints_heard_total{<app>}[$__rate_interval]))", "heard"),
                  ], "ops")),
        row("Consumers: " + consumers,
            graph("Handled by consumer and type", "Events handled to the end each second. Zero while events wait is a "
                  "consumer that is stuck.",
                  prom(rate("wealth_consumer_events_handled_total", "consumer, type"), "{{consumer}} {{type}}"), "ops",
                  stacked=True),
            graph("Age of events when handled", "Time from an event's commit until a consumer has handled it. Good: "
                  "p99 below a second. The largest bucket bounds what can be shown.",
                  quantiles("wealth_consumer_event_age_seconds", 0.5, 0.99, by="consumer"), "s",
                  limits=steps((1, YELLOW), (5, RED))),
            graph("Lag in events", "Published events that are not handled yet, as the consumers tell (embedded bus, "
                  "Kafka) and as kafka-exporter tells (sidecars as well). Good: near zero, hills that go down again. "
                  "Growing for minutes: the runbook, ConsumerStuck.", [
                      prom("sum by (consumer) (wealth_consumer_lag_events{<app>})", "{{consumer}}"),
                      prom("sum by (consumergroup) (clamp_min(kafka_consumergroup_lag{<exporter>, <ours>}, 0))",
                           "{{consumergroup}}"),
                  ], "short", limits=steps((1000, YELLOW), (100000, RED))),
            graph("Lag in time", "Age of the oldest event that a consumer has in hand, 0 when it has none. Good: below a "
                  "second or two. One that grows by a second each second is tried again and again.",
                  prom("max by (consumer) (wealth_consumer_lag_seconds{<app>})", "{{consumer}}"), "s",
                  limits=steps((10, YELLOW), (60, RED))),
            graph("Time for a batch", "How long a consumer takes for a batch, p99. Good: below 250 ms; more is the "
                  "database: see Runtime.",
                  quantiles("wealth_consumer_batch_duration_seconds", 0.5, 0.99, by="consumer"), "s",
                  limits=steps((0.25, YELLOW), (1, RED))),
            graph("Tried again", "Attempts that failed and are made again, for each minute. Good: none. They go on "
                  "until the database is back; the log of the role says why.", [
                      prom("sum by (consumer) (rate(wealth_consumer_retries_total{<app>}[$__rate_interval])) * 60",
                           "{{consumer}}"),
                      prom("sum(rate(wealth_alerts_failed_total{<app>}[$__rate_interval])) * 60", "alerts not made"),
                  ], "short", bars=True),
            graph("Came twice", "Events passed over because they were handled before, each second. Some after a "
                  "restart or a rebalance is the design; a steady stream is a bus that delivers everything twice.",
                  prom(rate("wealth_consumer_duplicates_total", "consumer"), "{{consumer}}"), "ops"),
            graph("Refused", "Events that can never be handled, and dead letters put aside, in five minutes. Good: "
                  "none. `wealth-companion dlq list` tells which and why.", [
                      prom("sum by (consumer) (increase(wealth_consumer_rejected_total{<app>}[5m]))", "{{consumer}}"),
                      prom("sum by (topic) (increase(wealth_dead_letters_total{<app>}[5m]))", "letter of {{topic}}"),
                  ], "short", bars=True)),
        row("Alerts and streams",
            graph("Alerts made by kind", "Alerts made each second by the notifier.",
                  prom(rate("wealth_alerts_created_total", "kind"), "{{kind}}"), "ops", stacked=True),
            graph("Alerts delivered", "Alerts written to open streams each second; one alert counts once for each "
                  "stream of its user. Alerts made and none delivered while streams are open: look at the api's log.",
                  prom("sum(rate(wealth_alerts_delivered_total{<app>}[$__rate_interval]))", "delivered"), "ops"),
            graph("Open streams by replica", "Clients that listen, on each replica of the api. Evenly spread is good; "
                  "all on one replica after a rollout evens out as clients reconnect.",
                  prom("sum by (pod, instance) (wealth_streams_open{<app>})", "{{pod}} {{instance}}"), "short",
                  stacked=True),
            graph("Alerts by mail", "What became of alerts that were to be sent, each second. Those that are tried again "
                  "and again: the mail server is away, or refuses us; the notifier's log says why, line `mail`.",
                  prom(rate("wealth_deliveries_total", "outcome"), "{{outcome}}"), "ops", stacked=True),
            graph("Age of the oldest alert to be mailed", "How long the oldest alert that is due to be sent by mail has "
                  "waited. Good: seconds. Hours: the mail server is away or refuses us; after a day alerts are given up.",
                  prom("max(wealth_deliveries_oldest_due_seconds{<app>})", "oldest"), "s")),
    ])


def runtime():
    each = "{{role}} {{pod}}"
    return dashboard("runtime", "Runtime", "Processes and what they lean on: database, Redis, sidecar, jobs.", [
        row("Processes",
            states("Takes work", "Whether each process takes work. Grey or red for a moment at a start is normal; red "
                   "for long: `/readyz` of that process gives the reason (a schema to be migrated, the database).",
                   prom("min by (role, pod, instance) (wealth_ready{<app>})", "{{role}} {{pod}} {{instance}}"),
                   {0: ("no", RED), 1: ("yes", GREEN)}),
            table("What runs", "Each process, its version and for how long it runs. Two versions at once are a "
                  "rollout; an age that starts anew again and again is a crash loop: look at the end of its log.", [
                      prom("max by (role, pod, instance, version) (wealth_build_info{<app>})", instant=True),
                      prom("time() - max by (role, pod, instance) (process_start_time_seconds{<app>})", instant=True),
                  ], {
                      "role": ("role", None, None),
                      "pod": ("pod", None, None),
                      "instance": ("instance", None, None),
                      "version": ("version", None, None),
                      "Value #B": ("runs for", "s", steps(YELLOW, (600, GREEN))),
                  }, sort="runs for", w=12, h=6),
            graph("Processor", "Cores used by each process. Good: well below what its limit allows; at the limit "
                  "everything waits: give it more, or more replicas.",
                  prom("rate(process_cpu_seconds_total{<app>}[$__rate_interval])", each), "cores"),
            graph("Memory", "Memory held in RAM. It levels off; one that rises for days is a leak: restart it and "
                  "keep the graph for the report.", prom("process_resident_memory_bytes{<app>}", each), "bytes"),
            graph("Open files", "Share of the files and sockets that the process may open. Above 80 %: raise the limit "
                  "(ulimit -n), or look for clients that never close.",
                  prom("process_open_fds{<app>} / process_max_fds{<app>}", each), "percentunit", max=1,
                  limits=steps((0.8, RED)))),
        row("Database",
            graph("Connections in use", "Busy connections as a share of the pool, reads and writes apart. Good: below "
                  "80 %. At the top requests wait for a connection, then get 503: look for slow "
                  "queries before making it larger.",
                  prom('sum by (role, pool) (wealth_db_connections{<app>, state="busy"}) / '
                       "sum by (role, pool) (wealth_db_connections_max{<app>})", "{{role}} {{pool}}"),
                  "percentunit", max=1, limits=steps((0.8, YELLOW), (0.95, RED))),
            graph("Connections", "Connections of each pool, busy and idle, against what PostgreSQL allows.",
                  prom("sum by (pool, state) (wealth_db_connections{<app>})", "{{pool}} {{state}}"),
                       "short", stacked=True),
            graph("Time to commit", "How long a commit takes. Good: p99 below 50 ms. More is a slow disk or a "
                  "database that has too much to do; every write waits for it.",
                  quantiles("wealth_db_commit_duration_seconds", 0.5, 0.99), "s",
                  limits=steps((0.05, YELLOW), (0.25, RED))),
            graph("Writes that wait", "Units of work in front of the writer. Good: a handful. At "
                  "database.write_queue_max (1024) requests get 503.",
                  prom("sum by (role) (wealth_db_write_queue_depth{<app>})", "{{role}}"), "short",
                  limits=steps((256, YELLOW), (1024, RED))),
            graph("Written together", "Units of work in one commit, on average. It grows with the load: that is how "
                  "the disk keeps up.",
                  prom("sum by (role) (rate(wealth_db_write_batch_units_sum{<app>}[$__rate_interval])) / "
                       "sum by (role) (rate(wealth_db_write_batch_units_count{<app>}[$__rate_interval]))", "{{role}}"),
                  "short"),
            graph("Not taken", "Units of work that the database did not take, for each minute: 'busy' passes by "
                  "itself, 'other' is an error that the log names. Good: none.",
                  prom("sum by (role, reason) (rate(wealth_db_failures_total{<app>}[$__rate_interval])) * 60",
                       "{{role}} {{reason}}"), "short", bars=True),
            graph("Disk", "Free share of the disks: the data folder (SQLite) and the volumes of PostgreSQL and Kafka. "
                  "Below 20 % make room or grow the volume; a full disk stops all writes.",
                  prom('wealth:disk_free:ratio{namespace="$namespace"}', "{{volume}}"), "percentunit", max=1,
                  limits=steps(RED, (0.05, YELLOW), (0.2, GREEN)), w=24)),
        row("Redis and sidecar",
            states("Redis away", "Whether each process finds Redis. Nothing fails without it, but limits are counted "
                   "by each replica alone and alerts come after a poll. Red for long: see whether "
                   "it answers and has memory.",
                   prom("max by (role, pod, instance) (wealth_redis_away{<app>})", "{{role}} {{pod}} {{instance}}"),
                   {0: ("there", GREEN), 1: ("away", RED)}, w=8, h=7),
            graph("Questions that failed", "Questions to Redis and to the state store that failed or came too late, "
                  "for each minute. Good: none.", [
                      prom("sum by (role) (rate(wealth_redis_failures_total{<app>}[$__rate_interval])) * 60",
                           "{{role}} Redis"),
                      prom("sum by (role) (rate(wealth_state_failures_total{<app>}[$__rate_interval])) * 60",
                           "{{role}} state store"),
                  ], "short", bars=True),
            graph("Calls of the sidecar", "Calls of the Dapr sidecar by what they ask for and what came of it. "
                  "'refused' is a component that says no (a right, a name), 'away' a sidecar that "
                  "does not answer: its log tells.",
                  prom(rate("wealth_sidecar_requests_total", "operation, outcome"), "{{operation}} {{outcome}}"),
                       "reqps"),
            graph("Time of the sidecar", "How long calls of the sidecar take, p99. Good: publishing below 50 ms, "
                  "state below 10 ms.", quantiles("wealth_sidecar_request_duration_seconds", 0.99, by="operation"), "s",
                  limits=steps((0.05, YELLOW), (1, RED)))),
        row("Gemini",
            states("Gemini", "Whether Gemini, which puts insights into words, answers; of projectors that have a key. Away: "
                   "insights keep the rules' words, and nobody waits. Red for hours: the log of the projector says why.",
                   prom("max by (role, pod, instance) (wealth_ai_breaker_open{<app>})", "{{role}} {{pod}} {{instance}}"),
                   {0: ("answers", GREEN), 1: ("away", RED)}, w=8, h=7),
            graph("Insights to be worded", "Insights of users who want other words than the rules', in an hour: 'used' and "
                  "'remembered' have them; 'refused' said something that is not among the figures; 'limited' reached a "
                  "limit of time, calls or tokens.",
                  prom("sum by (outcome) (increase(wealth_ai_wordings_total{<app>}[1h]))", "{{outcome}}"), "short",
                  stacked=True),
            graph("Questions to Gemini", "Questions in an hour by outcome. 'not_set_up': look at the key, the model and "
                  "the project of the key.",
                  prom("sum by (outcome) (increase(wealth_ai_requests_total{<app>}[1h]))", "{{outcome}}"), "short"),
            graph("Time of Gemini", "How long questions take, p50 and p99. A look at somebody's books waits "
                  "ai.timeout_ms at the most.", quantiles("wealth_ai_request_duration_seconds", 0.5, 0.99), "s"),
            graph("Tokens", "Tokens in an hour, of questions and of answers: what the bill is made of.",
                  prom("sum by (direction) (increase(wealth_ai_tokens_total{<app>}[1h]))", "{{direction}}"), "short",
                  stacked=True)),
        row("Jobs, log and traces",
            graph("Since a job last did its work", "How long ago each background job succeeded, on any replica. Good: "
                  "a few minutes at the most; above an hour the log of the roles says why it fails.",
                  prom("time() - max by (task) (wealth_job_last_success_timestamp_seconds{<app>})",
                       "{{task}}"), "s", limits=steps((900, YELLOW), (3600, RED))),
            graph("Runs of jobs", "Runs of background jobs in an hour by outcome. 'failed' should not be there.",
                  prom("sum by (task, outcome) (increase(wealth_job_runs_total{<app>}[1h]))",
                       "{{task}} {{outcome}}"), "short"),
            graph("Recurring bookings", "Days of recurring bookings in an hour: booked, or refused, after which the rule is "
                  "paused and says why. Refused ones are their users' matter, unless there are many.",
                  prom("sum by (outcome) (increase(wealth_recurring_bookings_total{<app>}[1h]))", "{{outcome}}"), "short"),
            graph("Recurring bookings that wait", "How long the oldest that was due had waited when a replica looked. Good: "
                  "a minute at the most; more after the API was away.",
                  prom("max(wealth_recurring_lag_seconds{<app>})", "oldest"), "s",
                  limits=steps((120, YELLOW), (3600, RED))),
            graph("Log lines and spans dropped", "What was dropped because nobody took it, for each minute. Good: "
                  "none. Lines: the reader of the log is too slow; spans: the collector is away or too slow.", [
                      prom("sum by (role, output) (rate(wealth_log_lines_dropped_total{<app>}[$__rate_interval])) * 60",
                           "{{role}} lines to {{output}}"),
                      prom("sum by (role, reason) (rate(wealth_spans_dropped_total{<app>}[$__rate_interval])) * 60",
                           "{{role}} spans: {{reason}}"),
                  ], "short", bars=True),
            graph("Spans exported", "Spans that the collector took each second.",
                  prom(rate("wealth_spans_exported_total", "role"), "{{role}}"), "ops", stacked=True)),
    ])


def kafka_and_dapr():
    topics = '<kafka>, topic!="", topic!~"__.*"'
    return dashboard("kafka-and-dapr", "Kafka and Dapr", "The brokers and the sidecars, as they see themselves.", [
        row("Kafka: is it whole",
            number("Brokers", "Brokers that Prometheus reaches. It should be as many as the cluster has; fewer for "
                   "longer than a restart: look at the pods of Strimzi.",
                   prom("sum(up{<kafka>})"), "short", steps(RED, (1, GREEN))),
            number("Without a leader", "Partitions without a leader: nobody can read or write them. Good: 0. "
                   "Otherwise bring their brokers back first.",
                   prom("max(kafka_controller_kafkacontroller_offlinepartitionscount{<kafka>})"), "short", NONE),
            number("Too few copies to write", "Partitions with fewer copies than writing needs: events wait in the "
                   "log. Good: 0.",
                   prom("sum(kafka_server_replicamanager_underminisrpartitioncount{<kafka>})"), "short", NONE),
            number("Copies behind", "Partitions with a copy that is behind or gone. Above 0 for minutes in a rolling "
                   "restart is normal; longer means that a broker or its disk is ill.",
                   prom("sum(kafka_server_replicamanager_underreplicatedpartitions{<kafka>})"), "short",
                   steps((1, YELLOW))),
            number("Controllers", "Controllers in charge: exactly one. None or two: the quorum is broken, look at the "
                   "controllers' logs.", prom("sum(kafka_controller_kafkacontroller_activecontrollercount{<kafka>})"),
                   "short", steps(RED, (1, GREEN), (2, RED))),
            number("Unclean elections, 24 h", "Elections of a leader that lacked records: records were lost. Good: 0. "
                   "Otherwise `wealth-companion verify` tells whether the sums still agree with the books, and `events "
                   "replay` hands events over again.",
                   prom("sum(increase(kafka_controller_controllerstats_uncleanleaderelections_total{<kafka>}[24h])) "
                        "or vector(0)"), "short", NONE, decimals=0)),
        row("Kafka: what passes",
            graph("Records in by topic", "Records written each second, by topic. `dlq.` topics should be silent.",
                  prom(rate("kafka_server_brokertopicmetrics_messagesin_total", "topic", topics), "{{topic}}"), "ops",
                  stacked=True),
            graph("Bytes in and out", "Bytes written and read each second. Out is in times the number of groups.", [
                prom("sum(rate(kafka_server_brokertopicmetrics_bytesin_total{%s}[$__rate_interval]))" % topics, "in"),
                prom("sum(rate(kafka_server_brokertopicmetrics_bytesout_total{%s}[$__rate_interval]))" % topics, "out"),
            ], "Bps"),
            graph("Idle request handlers", "How idle the threads are that answer requests. Good: above 0.7; below 0.3 "
                  "a broker is overloaded: more brokers, or fewer partitions.",
                  prom("kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent{<kafka>}", "{{pod}}"),
                  "percentunit", max=1, limits=steps(RED, (0.3, YELLOW), (0.7, GREEN))),
            graph("Lag by group and topic", "Records that a group has not noted as done, as kafka-exporter sees it. "
                  "Good: near zero. One topic alone: an event that is tried again and again; all: "
                  "the role is stuck or away.",
                  prom("sum by (consumergroup, topic) (clamp_min(kafka_consumergroup_lag{<exporter>, <ours>}, 0))",
                       "{{consumergroup}} {{topic}}"), "short", limits=steps((1000, YELLOW), (100000, RED)), w=12),
            graph("Members of groups", "Replicas (or their sidecars) that read for each group. None: nobody reads, "
                  "whatever the processes say.",
                  prom("sum by (consumergroup) (kafka_consumergroup_members{<exporter>, <ours>})", "{{consumergroup}}"),
                  "short", w=12)),
        row("Sidecars: events",
            graph("Deliveries by what came of them", "Events that sidecars gave to the roles: success, retry, drop. "
                  "'retry' is a role whose database is away, 'drop' a dead letter.", [
                      prom(rate("dapr_component_pubsub_ingress_count", "app_id, process_status", "<sidecar>"),
                           "{{app_id}} {{process_status}}"),
                      prom(rate("dapr_component_pubsub_ingress_bulk_event_count", "app_id, process_status",
                                "<sidecar>"),
                           "{{app_id}} {{process_status}}, in bulk"),
                  ], "ops"),
            graph("Published", "Calls and batches published through sidecars, by success. 'false' is Kafka that does "
                  "not take them: the relay tries again.", [
                      prom(rate("dapr_component_pubsub_egress_count", "app_id, success", "<sidecar>"),
                           "{{app_id}} {{success}}"),
                      prom(rate("dapr_component_pubsub_egress_bulk_count", "app_id, success", "<sidecar>"),
                           "{{app_id}} {{success}}, in bulk"),
                  ], "ops"),
            graph("Time of a delivery", "How long a role takes for a delivery, p99, as the sidecar sees it. Above a "
                  "second: see 'Time for a batch' on Pipeline.", [
                      *quantiles("dapr_component_pubsub_ingress_latencies", 0.99, by="app_id", selector="<sidecar>"),
                      prom("histogram_quantile(0.99, %s)" % rate("dapr_component_pubsub_ingress_bulk_latencies_bucket",
                                                                "le, app_id", "<sidecar>"), "p99 {{app_id}}, in bulk"),
                  ], "ms", limits=steps((1000, YELLOW), (10000, RED)))),
        row("Sidecars: calls and policies",
            graph("Calls by status", "Calls that roles made to their sidecars, by status. Good: 2xx; 4xx of the state "
                  "store are refusals, 5xx components that are away.",
                  prom(rate("dapr_http_server_request_count", "app_id, status", "<sidecar>"), "{{app_id}} {{status}}"),
                  "reqps"),
            graph("State and secrets", "Calls of the state store and the secret store by success. 'false' for the "
                  "state store: Redis is away, nothing else waits for it.", [
                      prom(rate("dapr_component_state_count", "operation, success", "<sidecar>"),
                           "state {{operation}} {{success}}"),
                      prom(rate("dapr_component_secret_count", "operation, success", "<sidecar>"),
                           "secret {{operation}} {{success}}"),
                  ], "ops"),
            graph("Policies that took effect", "Retries, timeouts and circuit breakers that were needed, for each "
                  "minute. Good: none. Retries of pubsub inbound are a role that says 'again'.",
                  prom("sum by (app_id, policy, target, flow_direction) "
                       "(rate(dapr_resiliency_activations_total{<sidecar>}[$__rate_interval])) * 60",
                       "{{app_id}} {{policy}} {{flow_direction}} {{target}}"), "short", bars=True),
            states("Circuit breakers", "Whether a breaker holds calls back: red while it is open. That of the state "
                   "store opens when Redis is away, and closes by itself.",
                   prom('max by (app_id, target) (dapr_resiliency_cb_state{<sidecar>, status="open"})',
                        "{{app_id}} {{target}}"), {0: ("closed", GREEN), 1: ("open", RED)}, w=8, h=7),
            graph("Memory of sidecars", "Memory that each sidecar holds. Bulk deliveries of large events need some "
                  "hundred MB for a moment; a steady rise is a leak.",
                  prom("process_resident_memory_bytes{<sidecar>}", "{{role}} {{pod}}"), "bytes")),
        row("Sidecars: starts and certificates",
            graph("Components that did not start", "Components that a sidecar could not start, by reason. Good: none. "
                  "Without pubsub a role gets no events: the sidecar's log tells what is missing.",
                  prom("sum by (app_id, component, reason) "
                       "(increase(dapr_runtime_component_init_fail_total{<sidecar>}[1h]))",
                       "{{app_id}} {{component}} {{reason}}"), "short", bars=True, w=12),
            graph("Certificates that were not renewed", "Renewals of a sidecar's certificate that failed. Good: none. "
                  "Otherwise look at dapr-sentry.",
                  prom("sum by (app_id, reason) "
                       "(increase(dapr_runtime_mtls_workload_cert_rotated_fail_total{<sidecar>}[1h]))",
                       "{{app_id}} {{reason}}"), "short", bars=True, w=12)),
    ])


def in_jaeger():
    """The address at which Grafana shows the trace whose id is the value that was clicked on."""
    panes = {"trace": {
        "datasource": "${jaeger}",
        "queries": [{"refId": "A", "datasource": source("jaeger"), "query": "${__value.raw}"}],
        "range": {"from": "${__from}", "to": "${__to}"},
    }}
    quoted = urllib.parse.quote(json.dumps(panes, separators=(",", ":")), safe="")
    # The variables are Grafana's to fill in.
    return "/explore?schemaVersion=1&panes=" + re.sub(r"%24%7B([\w.]+)%7D", r"${\1}", quoted)


def link(title, url):
    return {"title": title, "url": url, "type": "link", "icon": "", "tooltip": "", "tags": [], "asDropdown": False,
            "targetBlank": True, "includeVars": False, "keepTime": False}


def here_with(variable):
    return f"/d/wealth-investigate?${{__url_time_range}}&${{namespace:queryparam}}&var-{variable}=${{__value.raw}}"


def investigate():
    ids = ("trace_id", "request_id", "correlation_id", "user_id")
    # The filters of lines come first: they are quick, and what is empty takes every line.
    found = ('{<logs>, level=~"(?i)$level"} ' + " ".join(f"|= `${name}`" for name in ids) + " |~ `(?i)$text` | json "
             + " ".join("| %s=~`${%s}.*`" % (name, name) for name in ids))
    log = panel("logs", "Log", "The product's log lines that fit everything that is filled in above; empty fields fit "
                "all. Start from an X-Request-Id, a trace id or a user's id; the fields of a line have links on to the "
                "trace. Nothing here: widen the time, or the line is below log.level.",
                loki(found, lines=1000), None, w=24, h=14, kind_of="loki", options={
                    "showTime": True, "showLabels": False, "showCommonLabels": False, "wrapLogMessage": True,
                    "prettifyLogMessage": False, "enableLogDetails": True, "sortOrder": "Descending",
                    "dedupStrategy": "none", "showLogContextToggle": True})
    requests = panel("table", "Requests", "The requests among those lines, with their ids. A click on a trace id opens "
                     "the trace in Jaeger; one on a request, correlation or user id shows everything with it here.",
                     loki(found.replace("| json", "|= `\"message\":\"request\"` | json", 1), lines=500), "short",
                     w=24, h=10, kind_of="loki", options=of_table("Time"))
    columns = ("Time", "role", "route", "status", "duration_us", "trace_id", "request_id", "correlation_id", "user_id",
               "error")
    requests["transformations"] = [
        {"id": "extractFields", "options": {"source": "labels", "format": "json", "replace": False}},
        {"id": "filterFieldsByName", "options": {"include": {"names": list(columns)}}},
        {"id": "convertFieldType", "options": {"conversions": [{"targetField": "duration_us",
                                                                "destinationType": "number"}]}},
        {"id": "organize", "options": {"indexByName": {name: n for n, name in enumerate(columns)}, "renameByName": {},
                                       "excludeByName": {}}},
    ]
    requests["fieldConfig"]["overrides"] = [
        {"matcher": {"id": "byName", "options": "duration_us"}, "properties": [
            {"id": "unit", "value": "µs"}, {"id": "thresholds", "value": steps((250000, YELLOW), (1000000, RED))},
            {"id": "custom.cellOptions", "value": {"type": "color-text"}}]},
        {"matcher": {"id": "byName", "options": "trace_id"}, "properties": [
            {"id": "links", "value": [link("Open the trace in Jaeger", in_jaeger()),
                                      link("Show everything of this trace here", here_with("trace_id"))]}]},
        *({"matcher": {"id": "byName", "options": name}, "properties": [
            {"id": "links", "value": [link("Show everything with it here", here_with(name))]}]} for name in ids[1:]),
    ]
    log["fieldConfig"]["overrides"] = [{"matcher": {"id": "byName", "options": "trace_id"}, "properties": [
        {"id": "links", "value": [link("Open the trace in Jaeger", in_jaeger())]}]}]
    trace = panel("traces", "Trace", "The trace whose id is filled in above, from the request over log, relay, bus, "
                  "projector and notifier to the stream. Look for the longest bar and for red ones. Batches of "
                  "several events have a trace of their own, linked from each event.",
                  {"datasource": source("jaeger"), "query": "$trace_id"}, None, w=24, h=14, kind_of="jaeger")
    search = panel("table", "Traces of this role", "Traces found by Jaeger in the time shown, the slow and failed "
                   "ones among them. Click on an id to open it.",
                   {"datasource": source("jaeger"), "queryType": "search", "service": "$trace_service", "limit": 50,
                    "minDuration": "$slower_than"}, "short", w=12, h=10, kind_of="jaeger", options=of_table("Duration"))
    return dashboard("investigate", "Investigate", "One request, event or user: its log lines and its trace.", [
        row("Where it went wrong",
            graph("Lines by level", "Lines of the log by level, a minute each. A jump of errors is where to begin.",
                  loki("sum by (level) (count_over_time({<logs>} [1m]))", "{{level}}"), "short", bars=True,
                  stacked=True, w=12, h=10, kind_of="loki"),
            search),
        row("By id", requests, log, trace),
    ], [
        *(textbox(name, name.replace("_", " ")) for name in ids),
        textbox("text", "Text"),
        choice("level", "Level", ("error", "warn", "info", "debug", "trace"), several=True),
        choice("trace_service", "Traces of",
               [f"wealth-companion{it}" for it in ("-api", "-projector", "-notifier", "")]),
        textbox("slower_than", "Traces slower than", "100ms"),
    ])


# ---- Files ------------------------------------------------------------------------------------------------------


def files():
    return {FOLDER / f"{it['uid'][len('wealth-'):]}.json": json.dumps(it, indent=1, ensure_ascii=False) + "\n"
            for it in (overview(), pipeline(), runtime(), kafka_and_dapr(), investigate())}


def differing():
    """The files that are not what they should be."""
    wanted = files()
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    return stale + sorted(set(FOLDER.glob("*.json")) - set(wanted))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, say what differs")
    if parser.parse_args().check:
        for path in differing():
            print(f"{path.name} is not what tools/dashboards.py writes: run it", file=sys.stderr)
        return 1 if differing() else 0
    FOLDER.mkdir(exist_ok=True)
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

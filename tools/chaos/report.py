"""What is told in the end: as Markdown for people, as JSON for machines."""

import collections
import json

EXAMPLES_MAX = 20


def as_json(parts):
    return json.dumps({"right": is_right(parts), "parts": parts}, indent=2, ensure_ascii=False) + "\n"


def is_right(parts):
    return not any(part["violations"] for part in parts)


def part(title, command, facts, injected, counts, verdict, notes):
    """One part of a campaign."""
    return {"title": title, "command": command, "facts": facts, "injected": dict(injected), "writes": dict(counts),
            "checked": dict(verdict.looked), "violations": [{"check": check, "evidence": text} for check, text in verdict.wrong],
            "notes": notes}


def as_markdown(parts):
    lines = []
    for one in parts:
        lines += [f"## {one['title']}", "", f"`{one['command']}`", ""]
        lines += [f"- {name}: {value}" for name, value in one["facts"].items()]
        lines += table(("what was done", "times"), one["injected"])
        lines += table(("writes and readings of people", "count"), one["writes"])
        violated = collections.Counter(violation["check"] for violation in one["violations"])
        lines += ["", "| check | looked at | violated |", "|---|---:|---:|"]
        for check in sorted({*one["checked"], *violated}):
            lines.append(f"| {check} | {one['checked'].get(check, 0)} | {violated[check]} |")
        for violation in one["violations"][:EXAMPLES_MAX]:
            lines += ["", f"**{violation['check']}**: {violation['evidence']}"]
        if len(one["violations"]) > EXAMPLES_MAX:
            lines += ["", f"… and {len(one['violations']) - EXAMPLES_MAX} more"]
        if one["notes"]:
            lines += ["", "Went otherwise than meant:", ""]
            lines += [f"- {note}: {times} times" for note, times in collections.Counter(one["notes"]).items()]
        lines.append("")
    lines.append("The books are right." if is_right(parts) else "Something is wrong with the books.")
    return "\n".join(lines) + "\n"


def table(heads, counts):
    return ["", f"| {heads[0]} | {heads[1]} |", "|---|---:|", *(f"| {name} | {count} |" for name, count in sorted(counts.items()))]

"""Writes TOML: tables, arrays of tables, lists; JSON's strings and numbers are TOML's."""

import json


def text(value: dict, path: tuple[str, ...] = ()) -> str:
    """`value` as a TOML document, keys in their order, values before tables."""
    plain = {key: entry for key, entry in value.items() if not _is_table(entry)}
    lines = [f"{key} = {_value(entry)}" for key, entry in plain.items()]
    for key, entry in value.items():
        if not _is_table(entry):
            continue
        name = ".".join((*path, key))
        for table in entry if isinstance(entry, list) else [entry]:
            # A table that holds nothing but tables needs no line of its own.
            is_bare = isinstance(entry, dict) and all(_is_table(inner) for inner in table.values())
            head = f"[[{name}]]" if isinstance(entry, list) else f"[{name}]"
            lines += ([] if is_bare else ["", head]) + [text(table, (*path, key)).rstrip("\n")]
    return "\n".join(lines) + "\n"


def _is_table(value: object) -> bool:
    """Tables, and lists of tables that have names of their own; lists of inline tables are written as such."""
    is_list = isinstance(value, list) and value and isinstance(value[0], dict)
    return isinstance(value, dict) or (is_list and "name" not in value[0])


def _value(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_value(entry) for entry in value)}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_value(entry)}' for key, entry in value.items())} }}"
    return json.dumps(value, ensure_ascii=False)

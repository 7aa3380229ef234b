"""Reads manifests of Kubernetes; PyYAML is the one package that tools need for it."""

from stack.machine import StackError


def documents(text):
    try:
        import yaml
    except ImportError as missing:
        raise StackError("missing: PyYAML (apt-get install python3-yaml)") from missing
    # A definition has the enumeration "=", which YAML 1.1 takes for something else.
    yaml.SafeLoader.yaml_implicit_resolvers.pop("=", None)
    return [it for it in yaml.safe_load_all(text) if it]

"""Policy files in YAML (SPEC 9.1) read into the domain's `Policy`.

Every error of every file is reported at once, with file, line and column, and with a suggestion where a name is almost
right.  Nothing that has one error is used.
"""

from jit_server.adapters.policy_yaml.reading import YamlPolicyParser

__all__ = ["YamlPolicyParser"]

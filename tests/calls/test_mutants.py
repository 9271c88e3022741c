"""What `make mutants` makes of what mutmut prints, and its list of survivors is about code that exists."""

import inspect
import pkgutil

import pytest

from tests.calls.mutants import Change, change_of, explained, function_of, judge, report, statuses

RESULTS = """\
    service.calls.refs.x_is_ref__mutmut_1: killed
    service.calls.refs.x_is_ref__mutmut_7: survived
    service.calls.policy.xǁPolicyǁroom__mutmut_3: no tests
"""
SHOWN = """\
# service.calls.refs.x_is_ref__mutmut_7: survived
--- service/calls/refs.py
+++ service/calls/refs.py
@@ -1,3 +1,4 @@
 def is_ref(text: str) -> bool:
-    match = _REF.fullmatch(text)
-    return match is not None
+    match = None
+        return match is None
"""
KNOWN = Change("service.calls.refs.is_ref", "return a", "return b")
OTHER = KNOWN._replace(now="return c")


def test_what_became_of_each() -> None:
    found = statuses(RESULTS)
    assert list(found.values()) == ["killed", "survived", "no tests"]
    assert [function_of(mutant) for mutant in found] == [
        "service.calls.refs.is_ref",
        "service.calls.refs.is_ref",
        "service.calls.policy.Policy.room",
    ]


def test_a_change_is_known_by_its_lines() -> None:
    change = change_of("service.calls.refs.x_is_ref__mutmut_7", SHOWN)
    assert change.function == "service.calls.refs.is_ref"
    assert change.was == "match = _REF.fullmatch(text) return match is not None"
    assert change.now == "match = None return match is None"


def test_every_survivor_wants_a_reason_and_every_reason_a_survivor() -> None:
    assert judge([KNOWN], [KNOWN]) == ([], [])
    assert judge([KNOWN, OTHER], [KNOWN]) == ([OTHER], [])
    assert judge([KNOWN, OTHER], [KNOWN.whole]) == ([], [])
    assert judge([OTHER], [KNOWN]) == ([OTHER], [KNOWN])
    assert judge([], [KNOWN.whole]) == ([], [KNOWN.whole])


@pytest.mark.parametrize(
    ("reasons", "status", "said"),
    [
        ([KNOWN], 0, "2 mutants: 1 killed, 1 survived (1 of these explained"),
        ([], 1, "survived: two\n  - return a\n  + return b\n"),
        ([KNOWN, OTHER], 1, "explained, but it does not survive: service.calls.refs.is_ref\n  - return a\n"),
    ],
)
def test_whatever_is_not_explained_is_an_error(
    reasons: list[Change], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report({"one": "killed", "two": "survived"}, {"two": KNOWN}, reasons) == status
    assert said in capsys.readouterr().out


def test_a_run_without_mutants_has_shown_nothing() -> None:
    assert report({}, {}, []) == 1


@pytest.mark.parametrize("change", explained(), ids=str)
def test_what_is_explained_stands_in_the_code(change: Change) -> None:
    source = inspect.getsource(pkgutil.resolve_name(change.function))
    assert change.was in " ".join(line.strip() for line in source.splitlines())
    assert explained()[change]

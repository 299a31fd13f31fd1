"""Where a view shows a path, as pure text (N18)."""

from __future__ import annotations

import gc
import re
import time

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from jupyter_alc.core.errors import BadInput
from jupyter_alc.core.views import View, looks_marked, marked, places, rule_of

pytestmark = pytest.mark.unit

RUNS = View("by-run", "{cycle}/{instrument}/{instrument}{run:digits}.nxs", "{cycle}/{run}/")


@pytest.mark.parametrize(
    ("of", "at", "path", "place"),
    [
        (RUNS.of, RUNS.at, "2024A/SANS/SANS12.nxs", "2024A/12/SANS12.nxs"),
        (RUNS.of, RUNS.at, "2024A/SANS/LOQ12.nxs", None),
        (RUNS.of, RUNS.at, "2024A/SANS/SANS.nxs", None),
        (RUNS.of, RUNS.at, "2024A/SANS/sub/SANS12.nxs", None),
        (RUNS.of, "run{run}.nxs", "2024A/SANS/SANS12.nxs", "run12.nxs"),
        ("{cycle}/RB{rb}/", "{rb}/{cycle}", "2024A/RB77", "77/2024A"),
        ("{name:letters}{run:digits}.{kind}", "{kind}/{name}-{run}", "SANS12.nxs", "nxs/SANS-12"),
        ("{a}-{b}.txt", "{b}/", "x-y-z.txt", "y-z/x-y-z.txt"),
        ("{a}/{a}", "{a}/", "x/x", "x/x"),
        ("{a}/{a}", "{a}/", "x/y", None),
        ("{a}.[x]", "{a}/", "b.[x]", "b/b.[x]"),
        ("{run:digits}", "{run}/", "\u0663", None),
        ("{a:letters}", "{a}/", "\u00e9t\u00e9", "\u00e9t\u00e9/\u00e9t\u00e9"),
    ],
)
def test_n18_of_and_at_say_where_a_path_is_shown(of, at, path, place):
    assert places([View("v", of, at)], path) == ([] if place is None else [f"v/{place}"])


@pytest.mark.parametrize(
    ("of", "at", "field", "told"),
    [
        ("{cycle}{run}", "{run}", "of", "nothing tells where {cycle} ends"),
        ("{cycle}/{run", "{cycle}/", "of", "'{run' in of is no group"),
        ("{cycle}/{Run}", "{cycle}/", "of", "is no group"),
        ("{cycle}//{run}", "{cycle}/", "of", "the part ''"),
        ("/{cycle}", "{cycle}/", "of", "the part ''"),
        ("", "{cycle}/", "of", "the part ''"),
        ("../{cycle}", "{cycle}/", "of", "the part '..'"),
        ("{cycle}", "{run}/", "at", "of has no group {run}"),
        ("{cycle}", "{cycle:digits}/", "at", "digits is said in at"),
        ("{a:digits}/{a:letters}", "{a}/", "of", "two kinds"),
        ("{cycle}\n", "{cycle}/", "of", "cannot be shown"),
        ("{a}_{b}_{b}", "{a}/", "of", "{b} is twice in a name where {a} comes before it"),
    ],
)
def test_a_pattern_that_means_nothing_is_refused_with_a_cure(of, at, field, told):
    with pytest.raises(BadInput, match=re.escape(told)) as wrong:
        View("v", of, at)
    assert wrong.value.field == field
    assert wrong.value.next_step


names = st.text(st.sampled_from("ab1-. ~"), min_size=1, max_size=6).filter(lambda one: one not in {".", ".."})
pieces = st.sampled_from(["{a}", "{b}", "{n:digits}", "{l:letters}", "-", "x", "."])
parts = st.lists(pieces, min_size=1, max_size=3).map("".join).filter(lambda one: one not in {".", ".."})
patterns = st.lists(parts, min_size=1, max_size=3).map("/".join)


slowly = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


@st.composite
def views(draw):
    """Views that mean something."""
    of = draw(patterns)
    known = [f"{{{one}}}" for one in re.findall(r"\{([a-z])", of)]
    shown = st.lists(st.sampled_from([*known, "x", "-"]), min_size=1, max_size=3).map("".join)
    at = "/".join(draw(st.lists(shown, min_size=1, max_size=3)))
    try:
        return View("v", of + draw(st.sampled_from(["", "/"])), at + draw(st.sampled_from(["", "/"])))
    except BadInput:  # nothing tells where one group ends
        assume(False)


@st.composite
def matching(draw, view):
    """A path that the view shows."""
    known: dict[str, str] = {}
    kinds = {
        "": names,
        "digits": st.text("019", min_size=1, max_size=3),
        "letters": st.text("ab", min_size=1, max_size=3),
    }
    rule = rule_of(view)
    for part in rule.of:
        for one in part:
            if one.group and one.group not in known:
                known[one.group] = draw(kinds[rule._kinds[one.group]])
    return "/".join("".join(known[one.group] if one.group else one.text for one in part) for part in rule.of)


@given(st.data())
@slowly
def test_no_path_that_matches_is_lost(data):
    """Round trip: the names of a place lead, as hints and as a filter, back to the path that lies there."""
    view = data.draw(views())
    path, rule = data.draw(matching(view)), rule_of(view)
    place = rule.place(path)
    assume(place is not None)  # each name is read alone, from the left: another reading of the same text does not count
    assert len(place) == rule.depth
    hints = rule.hints(place)
    assert hints is not None
    known: dict[str, str] = {}
    for depth, name in enumerate(path.split("/")):
        exact = rule.exact(depth, {**hints, **known})
        assert exact in {None, name}
        told = rule.reader(depth, known).read(name)
        assert told is not None
        known |= told
        assert rule.agrees(place, known)
    for level in range(rule.depth):
        needed = rule.needs(level + 1)
        assert needed <= len(rule.of)


@given(st.data())
@slowly
def test_of_a_view_that_is_one_to_one_no_two_paths_have_one_place(data):
    view = data.draw(views())
    one, other = data.draw(matching(view)), data.draw(matching(view))
    rule = rule_of(view)
    if rule.one_to_one and one != other:
        place = rule.place(one)  # none, where a group that took as little as will do does not fit what follows
        assert place is None or place != rule.place(other)


def as_expression(part, kinds, known):
    """What a part means, as a regular expression."""
    written, seen = "", set()
    for one in part:
        if not one.group:
            written += re.escape(one.text)
        elif one.group in known:
            written += re.escape(known[one.group])
        elif one.group in seen:
            written += f"(?P={one.group})"
        else:
            seen.add(one.group)
            kind = {"": "[^/]+?", "digits": "[0-9]+", "letters": r"[^\W\d_]+"}[kinds[one.group]]
            written += f"(?P<{one.group}>{kind})"
    return re.compile(written, re.DOTALL)


@given(st.data(), st.text("ab1-.x\n", max_size=12))
@settings(slowly, max_examples=400)
def test_n18_a_name_is_read_from_the_left_as_the_expression_of_the_pattern_says(data, text):
    rule = rule_of(data.draw(views()))
    known: dict[str, str] = {}
    for depth, part in enumerate(rule.of):
        built = "".join(known.get(one.group, "b1-b") if one.group else one.text for one in part)
        name = data.draw(st.sampled_from([text, built, built + text]))
        found = as_expression(part, rule._kinds, known).fullmatch(name)
        told = rule.reader(depth, known).read(name)
        assert told == (None if found is None else found.groupdict())
        known |= told or dict.fromkeys((one.group for one in part if one.group), "a")


@pytest.mark.parametrize(
    "of",
    ["{a}_{b}_{c}_{d}_{e}_{f}.nxs", "{a}_{b}_{a}_{c}_{d}_{a}.nxs", "{a:digits}_{b}_{c:digits}{d:letters}_{e}_{f}.nxs"],
)
@pytest.mark.parametrize("name", ["_" * 255, "1" * 255, "1_" * 127, "1a_" * 85, "_" * 250 + ".nxs"])
def test_r16_no_name_takes_long_to_read(of, name):
    view = View("v", of, "{a}/")
    gc.disable()  # how long it looks through what all tests left is not the name's
    try:
        begun = time.thread_time()
        places([view], name)
        assert time.thread_time() - begun < 0.05
    finally:
        gc.enable()


@given(names, names, names)
def test_two_of_one_name_get_marks_that_tell_them_apart(name, one, other):
    first, second = marked(name, one), marked(name, other)
    assert (first == second) is (one == other)
    assert looks_marked(first)
    assert len(marked("x" * 300, one).encode()) <= 255


def test_runs_and_experiments_are_one_to_one_and_runs_alone_are_not():
    assert rule_of(RUNS).one_to_one
    assert not rule_of(View("v", RUNS.of, "{run}.nxs")).one_to_one
    assert not rule_of(View("v", RUNS.of, "{run}/")).one_to_one
    assert rule_of(View("v", "{a}/{b}", "{a}-{b}")).one_to_one is False
    assert rule_of(View("v", "{a}/{b}", "{a}/{a}-{b}")).one_to_one
    assert not rule_of(View("v", RUNS.of, "{cycle}/")).one_to_one  # SANS2/SANS212.nxs and SANS21/SANS212.nxs
    assert rule_of(View("v", RUNS.of.replace("instrument", "instrument:letters"), "{cycle}/")).one_to_one

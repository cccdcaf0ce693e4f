"""The page: which table a row stands in, and what its cells say."""

from __future__ import annotations

from benchmarks.figures import GOALS, Results, Row
from benchmarks.report import HEADINGS, OLD_HEADINGS, goals, work_tables
from benchmarks.systems import OURS, REFERENCE
from benchmarks.works import WORKS

OLD = Row("bulk", "up", "cpu_gb", "aes-256-cfb")
NEW = Row("bulk", "up", "cpu_gb", "aes-256-gcm")
NAMES = (OURS, REFERENCE, "python", "node")


def filled() -> Results:
    results = Results()
    for row, name, value in (
        *((NEW, OURS, 1.0), (NEW, REFERENCE, 2.0)),
        *((OLD, OURS, 1.0), (OLD, "python", 4.0)),
    ):
        results.add(row, name, 0, value)
    return results


def test_each_work_has_a_heading() -> None:
    assert set(HEADINGS) == set(WORKS)
    assert set(OLD_HEADINGS) <= set(WORKS)


def test_what_is_old_has_a_table_of_its_own_where_x_is_ours() -> None:
    (new,), (old,) = work_tables(filled(), "bulk", NAMES), work_tables(filled(), "bulk", NAMES, old=True)
    assert new.splitlines()[2:] == [
        f"| method | case | {OURS} | {REFERENCE} |",
        "|---|---|---|---|",
        "| aes-256-gcm | up | 1.000 x0.50 | 2.000 |",
    ]
    assert old.splitlines()[2:] == [
        f"| method | case | {OURS} | python |",
        "|---|---|---|---|",
        "| aes-256-cfb | up | 1.000 | 4.000 x0.25 |",
    ]


def test_an_ancestor_that_failed_has_the_reason_in_its_cell() -> None:
    results = filled()
    other = Row("bulk", "down", "cpu_gb", "aes-256-cfb")
    results.add(other, OURS, 0, 1.0)
    results.add(other, "node", 0, 3.0)
    results.fail("node, aes-256-cfb, bulk up", "nothing moved for 10 s")
    (table,) = work_tables(results, "bulk", NAMES, old=True)
    assert "| aes-256-cfb | up | 1.000 | 4.000 x0.25 | failed: nothing moved for 10 s |" in table
    assert "| aes-256-cfb | down | 1.000 |  | 3.000 x0.33 |" in table


def test_a_goal_against_several_names_the_worst_of_them() -> None:
    results = filled()
    results.add(OLD, "node", 0, 0.5)
    (line,) = (line for line in goals(results).splitlines() if "bulk CPU a GB ≤ each ancestor's" in line)
    assert "| 2.00 x | aes-256-cfb, up, node | 1 of 2 | **missed** |" in line
    assert len(goals(results).splitlines()) == len(GOALS) + 2

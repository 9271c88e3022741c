from service.calls.refs import PARTITIONS, is_ref, partition_of_ref, ref_of_call


def test_refs_follow_from_call_ids_and_spread() -> None:
    refs = {ref_of_call(f"c-{n}") for n in range(2000)}
    assert len(refs) == 2000
    assert all(is_ref(ref) for ref in refs)
    assert {partition_of_ref(ref) for ref in refs} == set(range(PARTITIONS))
    assert not is_ref("p99-" + "a" * 20)
    assert not is_ref("p01-short")


def test_refs_that_are_out_in_the_world_stay_what_they_are() -> None:
    assert ref_of_call("c-1") == "p09-u3366r7orxeev6ifniyf"


def test_a_partition_that_there_is_none_of_makes_no_ref() -> None:
    name = "a" * 20
    assert is_ref(f"p{PARTITIONS - 1:02}-{name}")
    assert not is_ref(f"p{PARTITIONS:02}-{name}")

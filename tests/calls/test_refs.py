from service.calls.refs import PARTITIONS, is_ref, partition_of_ref, ref_of_call


def test_refs_follow_from_call_ids_and_spread() -> None:
    refs = {ref_of_call(f"c-{n}") for n in range(2000)}
    assert len(refs) == 2000
    assert all(is_ref(ref) for ref in refs)
    assert {partition_of_ref(ref) for ref in refs} == set(range(PARTITIONS))
    assert not is_ref("p99-" + "a" * 20)
    assert not is_ref("p01-short")

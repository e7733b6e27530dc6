from tests.faults.fuzz_slides import fuzz


def test_every_file_with_a_damaged_header_gets_an_outcome(tmp_path):
    counts, failures = fuzz(60, tmp_path, count=150)
    assert failures == []
    assert {"ok", "partial", "unreadable"} <= set(counts)

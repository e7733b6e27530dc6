from tests.faults.fuzz_slides import fuzz


def test_files_with_damaged_headers_get_an_outcome_each(tmp_path):
    counts, failures = fuzz(60, tmp_path, count=150)
    assert failures == []
    assert {"ok", "partial", "unreadable"} <= set(counts)

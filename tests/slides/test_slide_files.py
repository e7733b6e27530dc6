import os

import pytest
from tests.slides.test_dicom import JPEG, dicom

from gensis.slides.slide_files import main_file, slide_files


@pytest.mark.parametrize(
    ("slide", "others"),
    [
        ("one.svs", []),
        ("two.mrxs", ["two/Data0000.dat", "two/Slidedat.ini"]),
        ("three/1.dcm", ["three/2.DCM"]),
        ("four.vms", ["four(1,0).jpg", "four.opt"]),
        ("alone.mrxs", []),
    ],
)
def test_files_of_a_slide_for_each_format(tmp_path, monkeypatch, slide, others):
    strangers = ["one.txt", "three/readme.txt", "twofold.mrxs", "five.vms", "1.dcm"]
    for path in (slide, *others, *strangers):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    assert sorted(slide_files(f"{tmp_path}/{slide}")) == sorted(f"{tmp_path}/{name}" for name in (slide, *others))
    monkeypatch.chdir(tmp_path / os.path.dirname(slide))
    assert os.path.basename(slide) in slide_files(os.path.basename(slide))


def test_a_dicom_slide_is_the_files_of_its_series_and_those_that_do_not_tell_theirs(tmp_path):
    for name, series in {"1": "1.2", "2": "1.2", "3": "1.20", "4": "1.20", "5": ""}.items():
        (tmp_path / f"{name}.dcm").write_bytes(dicom(JPEG, "RGB", series=series) if series else b"damaged")
    of_first, of_second, of_any = ([f"{tmp_path}/{name}.dcm" for name in names] for names in ("125", "345", "12345"))
    assert list(slide_files(f"{tmp_path}/2.dcm")) == of_first
    assert list(slide_files(f"{tmp_path}/3.dcm")) == of_second
    assert list(slide_files(f"{tmp_path}/5.dcm")) == of_any


def test_a_named_folder_is_all_its_files(tmp_path):
    for name in ("instances/2", "instances/10", "instances/deeper/1", "other/1"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert slide_files(f"{tmp_path}/instances") == (f"{tmp_path}/instances/10", f"{tmp_path}/instances/2")


def test_the_main_file_of_a_folder_is_its_metadata_or_largest_dicom_file(tmp_path):
    for name, content in (("a", 1), ("b", 3), ("c", 2)):
        (tmp_path / name).write_bytes(bytes(128) + b"DICM" + bytes(content))
    (tmp_path / "readme").write_bytes(bytes(1000))
    assert main_file(tmp_path) == tmp_path / "b"
    (tmp_path / ".zattrs").touch()
    assert main_file(tmp_path) == tmp_path / ".zattrs"
    assert main_file(tmp_path / "a") == tmp_path / "a"

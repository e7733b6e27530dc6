import os
import re

import pytest

from gensis.errors import UserError
from gensis.settings.datasets import FilesDataset, SlidesDataset
from gensis.settings.sheet import read_sheet
from gensis.settings.units import list_units


@pytest.fixture
def folder(tmp_path):
    for name in ("a.tiff", "b.tiff", "c.tiff"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def write(folder, text):
    path = folder / "sheet.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_are_renamed_and_paths_are_relative_to_the_sheet(folder):
    path = write(folder, "slide,path,case,diagnosis,mpp\none,a.tiff,p1,CLL,0.5\ntwo,b.tiff,p2,FL,\n")
    first, second = read_sheet(path, "slides", {"group": "case", "label": "diagnosis"})
    assert (first.name, first.group, first.label, first.mpp) == ("one", "p1", "CLL", 0.5)
    assert first.path == str(folder / "a.tiff")
    assert second.mpp is None


def test_paths_inside_the_working_directory_stay_relative(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert read_sheet(write(folder, "slide,path\none,a.tiff\n"), "slides", {})[0].path == "a.tiff"


def test_masks_and_annotations_are_paths_relative_to_the_sheet(folder):
    for name in ("mask.png", "drawn.geojson"):
        (folder / name).touch()
    text = "slide,path,mask,annotations\none,a.tiff,mask.png,drawn.geojson\ntwo,b.tiff,,\n"
    first, second = read_sheet(write(folder, text), "slides", {})
    assert (first.mask, first.annotations) == (str(folder / "mask.png"), str(folder / "drawn.geojson"))
    assert (second.mask, second.annotations) == ("", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("slide,path\none,missing.tiff\n", "missing.tiff of 'one' does not exist"),
        ("slide,path,annotations\none,a.tiff,none.geojson\n", "none.geojson of 'one' does not exist"),
        ("slide,file\none,a.tiff\n", "no column 'path'"),
        ("slide,path\none,a.tiff\none,b.tiff\n", "lists 'one' 2 times"),
        ("slide,path\no/ne,a.tiff\n", "'o/ne' is not a valid name"),
        ("slide,path,group,split\none,a.tiff,g,train\ntwo,b.tiff,g,test\n", "group 'g' is in two splits"),
        ("slide,path,split\none,a.tiff,validation\n", "is not 'train' or 'test'"),
        ("slide,path,split\none,a.tiff,train\ntwo,b.tiff,\n", "some lines have a split"),
        ("slide,path,mpp\none,a.tiff,half\n", "mpp 'half' is not a number"),
        ("slide,path,mpp\none,a.tiff,50\n", "outside 0.05 to 20"),
        ("slide,path\none,\n", "path is empty"),
        ("slide,path\n", "has no lines"),
        ("", "no column"),
        ("slide,path,label,label\none,a.tiff,tumor,1\n", "has the column 'label' 2 times (label, label): rename"),
        ("slide,path,Path \none,a.tiff,b.tiff\n", "has the column 'path' 2 times (path, Path): rename"),
        ("slide,path\none,a.tiff\n\n,\n\n,b.tiff\n", "sheet.csv line 6: '' is not a valid name"),
        ('slide,path,label\none,a.tiff,"two\nlines"\ntwo,,x\n', "sheet.csv line 4: path is empty"),
        ("slide,path\none,a,b.tiff\n", "line 2 has 3 cells, the first line has 2: put quotes around"),
        ("slide;path;mpp\none;a.tiff;0,5\n", "line 2: mpp '0,5' is not a number: write um/px, such as 0.5"),
    ],
)
def test_an_error_in_a_sheet_is_one_line(folder, text, expected):
    path = write(folder, text)
    with pytest.raises(UserError) as error:
        list_units(SlidesDataset(kind="slides", sheet=str(path)), path)
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_or_unreadable_sheet_is_reported(folder):
    with pytest.raises(UserError, match="does not exist"):
        read_sheet(folder / "absent.csv", "slides", {})
    (folder / "sheet.csv").mkdir()
    with pytest.raises(UserError, match=r"sheet.csv cannot be read \(Is a directory\)"):
        read_sheet(folder / "sheet.csv", "slides", {})


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"PK\x03\x04\x14\0\x06\0", "is a workbook, not CSV: save it as `CSV UTF-8` (Excel: File > Save as)"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "is a workbook, not CSV"),
        ("slide,path,label\none,a.tiff,\ntwo,b.tiff,Gr\xfcn\n".encode("cp1252"), "line 3 is not in UTF-8: save it as"),
        ("slide,path\none,a.tiff\n".encode("utf-16-le"), "is not text: save it as"),
        (b"\xff\xfes", "line 1 is not in UTF-8"),
    ],
)
def test_other_encodings_and_workbooks_are_refused_with_advice_how_to_save(folder, content, expected):
    (folder / "sheet.csv").write_bytes(content)
    with pytest.raises(UserError) as error:
        read_sheet(folder / "sheet.csv", "slides", {})
    assert str(error.value).startswith(f"sheet {folder / 'sheet.csv'} {expected}")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("declared", [False, True], ids=["", "sep="])
def test_encodings_separators_and_line_ends_of_spreadsheet_programs_are_read(
    folder, encoding, separator, end, declared
):
    lines = [
        ["slide", " path", "label "],
        ["one", "a.tiff", " Gr\xfcn"],
        [],
        ["", "", ""],
        ["two", "b.tiff ", '"a;,\tb"'],
    ]
    first = [f"sep={separator}"] if declared else []
    content = end.join([*first, *map(separator.join, lines), "", ""]).encode(encoding)
    (folder / "sheet.csv").write_bytes(content)
    rows = read_sheet(folder / "sheet.csv", "slides", {})
    assert [(row.name, row.path, row.label) for row in rows] == [
        ("one", str(folder / "a.tiff"), "Gr\xfcn"),
        ("two", str(folder / "b.tiff"), "a;,\tb"),
    ]


def logged(caplog):
    lines = [record.getMessage().partition("sheet.csv: ")[2] for record in caplog.records]
    caplog.clear()
    return lines


def test_a_renamed_column_is_read_and_its_namesake_is_reported(folder, caplog):
    path = write(folder, "slide,path,label,Label,diagnosis\none,a.tiff,1,2,CLL\n")
    assert read_sheet(path, "slides", {"label": "diagnosis "})[0].label == "CLL"
    assert [line.partition(": if")[0] for line in logged(caplog)] == ["columns not used: label, Label"]
    assert read_sheet(path, "slides", {"label": "Label"})[0].label == "2"


def test_probably_missing_or_equal_values_are_reported_and_kept(folder, caplog):
    path = write(folder, "slide,path,label,group\none,a.tiff,nan,1\ntwo,b.tiff,NaN,1.0\nthree,c.tiff,x,01\n")
    assert [row.label for row in read_sheet(path, "slides", {})] == ["nan", "NaN", "x"]
    assert logged(caplog) == [
        "label 'NaN' and 'nan' used as written: leave the cell empty if the value is unknown",
        "group '01' and '1' and '1.0' are different values: if they mean the same, write them alike",
    ]
    labels = [
        "Tumor",
        "tumor ",
        "b b",
        "b  B",
        "1_2",
        "12",
        "12345678901234567",
        "12345678901234568",
        "c",
        "C",
        "d",
        "D",
    ]
    for number, _ in enumerate(labels):
        (folder / f"{number}.tiff").touch()
    lines = (f"{number},{number}.tiff,{label}\n" for number, label in enumerate(labels))
    read_sheet(write(folder, "slide,path,label\n" + "".join(lines)), "slides", {})
    assert logged(caplog) == [
        "label 'C' and 'c'; 'D' and 'd'; 'Tumor' and 'tumor' (and 1 more) are different values: "
        "if they mean the same, write them alike"
    ]


@pytest.mark.parametrize("ahead", ["sheet.csv", "a.tiff", "mask.png", "drawn.geojson"])
def test_a_file_dated_in_the_future_is_refused(folder, ahead):
    for name in ("mask.png", "drawn.geojson"):
        (folder / name).touch()
    path = write(folder, "slide,path,mask,annotations\none,a.tiff,mask.png,drawn.geojson\ntwo,b.tiff,,\n")
    assert read_sheet(path, "slides", {})
    os.utime(folder / ahead, (2e9, 2e9))
    line = (
        rf"^{re.escape(str(folder / ahead))} is dated in the future \(2033-05-18 .*: set the clock right, then `touch`"
    )
    with pytest.raises(UserError, match=line):
        read_sheet(path, "slides", {})
    os.utime(folder / "b.tiff", (2e9, 2e9))
    with pytest.raises(UserError, match=r"^2 files are dated in the future, such as"):
        read_sheet(path, "slides", {})


def test_a_symbolic_link_to_a_file_dated_in_the_future_is_accepted(folder):
    os.utime(folder / "a.tiff", (2e9, 2e9))
    (folder / "linked.tiff").symlink_to(folder / "a.tiff")
    assert read_sheet(write(folder, "slide,path\none,linked.tiff\n"), "slides", {})


def test_unused_columns_are_reported(folder, caplog):
    path = write(folder, "slide,path,Label,patient\none,a.tiff,CLL,p1\n")
    read_sheet(path, "slides", {"label": "Label"})
    assert [record.getMessage() for record in caplog.records] == [
        f"sheet {path}: columns not used: patient: if one of them is the label or group, set `columns: {{group: ...}}`"
    ]
    caplog.clear()
    read_sheet(path, "slides", {"label": "Label", "group": "patient"})
    assert not caplog.records


def test_units_are_all_train_without_a_split(folder):
    dataset = SlidesDataset(kind="slides", sheet="x")
    plain = list_units(dataset, write(folder, "slide,path\none,a.tiff\ntwo,b.tiff\n"))
    assert [unit.split for unit in plain.units] == ["train", "train"]
    assert not plain.has_test
    split = list_units(dataset, write(folder, "slide,path,split\none,a.tiff,test\ntwo,b.tiff,train\n"))
    assert [unit.name for unit in split.of_split("train")] == ["two"]
    assert split.has_test


def test_files_are_divided_into_shards_per_split(folder):
    dataset = FilesDataset(kind="files", sheet="x", shards=2)
    units = list_units(dataset, write(folder, "path,split\na.tiff,train\nb.tiff,test\n"))
    assert [unit.name for unit in units.units] == ["train-0000", "train-0001", "test-0000", "test-0001"]

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


def test_a_sheet_is_read_with_its_own_column_names_and_paths_relative_to_it(folder):
    path = write(folder, "slide,path,case,diagnosis,mpp\none,a.tiff,p1,CLL,0.5\ntwo,b.tiff,p2,FL,\n")
    first, second = read_sheet(path, "slides", {"group": "case", "label": "diagnosis"})
    assert (first.name, first.group, first.label, first.mpp) == ("one", "p1", "CLL", 0.5)
    assert first.path == str(folder / "a.tiff")
    assert second.mpp is None


def test_paths_inside_the_working_directory_stay_relative_so_that_it_can_be_moved(folder, monkeypatch):
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
    ("text", "said"),
    [
        ("slide,path\none,missing.tiff\n", "missing.tiff of 'one' does not exist"),
        ("slide,path,annotations\none,a.tiff,none.geojson\n", "none.geojson of 'one' does not exist"),
        ("slide,file\none,a.tiff\n", "no column 'path'"),
        ("slide,path\none,a.tiff\none,b.tiff\n", "lists 'one' 2 times"),
        ("slide,path\no/ne,a.tiff\n", "'o/ne' cannot be a name"),
        ("slide,path,group,split\none,a.tiff,g,train\ntwo,b.tiff,g,test\n", "group 'g' lies in two splits"),
        ("slide,path,split\none,a.tiff,validation\n", "neither 'train' nor 'test'"),
        ("slide,path,split\none,a.tiff,train\ntwo,b.tiff,\n", "some lines have a split"),
        ("slide,path,split\none,a.tiff,test\n", "empty train split"),
        ("slide,path,mpp\none,a.tiff,half\n", "mpp 'half' is not a number"),
        ("slide,path,mpp\none,a.tiff,50\n", "outside 0.05 to 20"),
        ("slide,path\none,\n", "path is empty"),
        ("slide,path\n", "lists nothing"),
        ("", "no column"),
        ("slide,path,label,label\none,a.tiff,tumor,1\n", "has the column 'label' 2 times (label, label): rename"),
        ("slide,path,Path \none,a.tiff,b.tiff\n", "has the column 'path' 2 times (path, Path): rename"),
        ("slide,path\none,a.tiff\n\n,\n\n,b.tiff\n", "sheet.csv line 6: '' cannot be a name"),
        ('slide,path,label\none,a.tiff,"two\nlines"\ntwo,,x\n', "sheet.csv line 4: path is empty"),
        ("slide,path\none,a,b.tiff\n", "line 2 has 3 cells, the first line 2: put quotes around"),
        ("slide;path;mpp\none;a.tiff;0,5\n", "line 2: mpp '0,5' is not a number: write um/px, such as 0.5"),
    ],
)
def test_a_mistake_in_a_sheet_is_one_line(folder, text, said):
    path = write(folder, text)
    with pytest.raises(UserError) as error:
        list_units(SlidesDataset(kind="slides", sheet=str(path)), path)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_sheet_and_one_that_is_no_text_are_said(folder):
    with pytest.raises(UserError, match="does not exist"):
        read_sheet(folder / "absent.csv", "slides", {})
    (folder / "sheet.csv").mkdir()
    with pytest.raises(UserError, match=r"sheet.csv cannot be read \(Is a directory\)"):
        read_sheet(folder / "sheet.csv", "slides", {})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04\x14\0\x06\0", "is a workbook, not CSV: save it as `CSV UTF-8` (Excel: File > Save as)"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "is a workbook, not CSV"),
        ("slide,path,label\none,a.tiff,\ntwo,b.tiff,Gr\xfcn\n".encode("cp1252"), "line 3 is not in UTF-8: save it as"),
        ("slide,path\none,a.tiff\n".encode("utf-16-le"), "is not text: save it as"),
        (b"\xff\xfes", "line 1 is not in UTF-8"),
    ],
)
def test_what_is_no_text_in_utf_8_or_16_is_one_line_that_says_how_to_save_it(folder, content, said):
    (folder / "sheet.csv").write_bytes(content)
    with pytest.raises(UserError) as error:
        read_sheet(folder / "sheet.csv", "slides", {})
    assert str(error.value).startswith(f"sheet {folder / 'sheet.csv'} {said}")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("told", [False, True], ids=["", "sep="])
def test_spreadsheet_programs_may_save_as_they_do(folder, encoding, separator, end, told):
    lines = [
        ["slide", " path", "label "],
        ["one", "a.tiff", " Gr\xfcn"],
        [],
        ["", "", ""],
        ["two", "b.tiff ", '"a;,\tb"'],
    ]
    first = [f"sep={separator}"] if told else []
    content = end.join([*first, *map(separator.join, lines), "", ""]).encode(encoding)
    (folder / "sheet.csv").write_bytes(content)
    rows = read_sheet(folder / "sheet.csv", "slides", {})
    assert [(row.name, row.path, row.label) for row in rows] == [
        ("one", str(folder / "a.tiff"), "Gr\xfcn"),
        ("two", str(folder / "b.tiff"), "a;,\tb"),
    ]


def said(caplog):
    lines = [record.getMessage().partition("sheet.csv: ")[2] for record in caplog.records]
    caplog.clear()
    return lines


def test_a_column_that_columns_names_is_read_and_its_namesake_said(folder, caplog):
    path = write(folder, "slide,path,label,Label,diagnosis\none,a.tiff,1,2,CLL\n")
    assert read_sheet(path, "slides", {"label": "diagnosis "})[0].label == "CLL"
    assert [line.partition(": if")[0] for line in said(caplog)] == ["columns not used: label, Label"]
    assert read_sheet(path, "slides", {"label": "Label"})[0].label == "2"


def test_values_that_are_probably_none_or_one_are_said_and_kept(folder, caplog):
    path = write(folder, "slide,path,label,group\none,a.tiff,nan,1\ntwo,b.tiff,NaN,1.0\nthree,c.tiff,x,01\n")
    assert [row.label for row in read_sheet(path, "slides", {})] == ["nan", "NaN", "x"]
    assert said(caplog) == [
        "label 'NaN' and 'nan' taken as it stands: leave the cell empty where it is not known",
        "group '01' and '1' and '1.0' are different: write them alike if they are one",
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
    assert said(caplog) == [
        "label 'C' and 'c'; 'D' and 'd'; 'Tumor' and 'tumor' (and 1 more) are different: "
        "write them alike if they are one"
    ]


@pytest.mark.parametrize("ahead", ["sheet.csv", "a.tiff", "mask.png", "drawn.geojson"])
def test_a_file_dated_in_the_future_is_refused_before_anything_is_made_of_it(folder, ahead):
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


def test_a_link_to_a_file_dated_in_the_future_is_taken_for_snakemake_goes_by_the_link(folder):
    os.utime(folder / "a.tiff", (2e9, 2e9))
    (folder / "linked.tiff").symlink_to(folder / "a.tiff")
    assert read_sheet(write(folder, "slide,path\none,linked.tiff\n"), "slides", {})


def test_columns_that_are_not_used_are_said(folder, caplog):
    path = write(folder, "slide,path,Label,patient\none,a.tiff,CLL,p1\n")
    read_sheet(path, "slides", {"label": "Label"})
    assert [record.getMessage() for record in caplog.records] == [
        f"sheet {path}: columns not used: patient: if one of them is the label or group, say so with "
        "`columns: {group: ...}`"
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


def test_files_are_divided_into_shards_a_split(folder):
    dataset = FilesDataset(kind="files", sheet="x", shards=2)
    units = list_units(dataset, write(folder, "path,split\na.tiff,train\nb.tiff,test\n"))
    assert [unit.name for unit in units.units] == ["train-0000", "train-0001", "test-0000", "test-0001"]

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
        ("slide;path\none;a.tiff\n", "is separated by semicolons: separate by commas"),
        ("slide\tpath\none\ta.tiff\n", "is separated by tabs: separate by commas"),
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
    (folder / "sheet.csv").write_bytes(b"\xff\xfe\x00\x01" * 50)
    with pytest.raises(UserError, match="cannot be read as CSV"):
        read_sheet(folder / "sheet.csv", "slides", {})


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

import struct
import sys

import numpy as np
import pytest
from tests.slides.more_formats import write_dicom
from tests.slides.test_tile_slide import DATA, needs_data

from gensis.slides.dicom import Header, read_header
from gensis.slides.opening import open_slide
from gensis.slides.outcomes import Unusable

JPEG, IMPLICIT, DEFLATED = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99"
UNDEFINED, DELIMITERS = 0xFFFFFFFF, 0xFFFE


def element(group, number, vr, value, implicit=False, undefined=False):
    value += b" " * (len(value) % 2)
    length = UNDEFINED if undefined else len(value)
    if implicit or group == DELIMITERS:
        return struct.pack("<HHI", group, number, length) + value
    if vr in (b"SQ", b"OB"):
        return struct.pack("<HH2sHI", group, number, vr, 0, length) + value
    return struct.pack("<HH2sH", group, number, vr, length) + value


def dicom(syntax, photometric, undefined=False, series="1.2.3"):
    """A header whose first sequence contains an item with another photometric interpretation."""
    implicit = syntax == IMPLICIT
    meta = element(2, 1, b"OB", b"\0\1") + element(2, 0x10, b"UI", syntax.encode())
    inner = element(0x28, 4, b"CS", b"MONOCHROME2", implicit)
    item = element(DELIMITERS, 0xE000, b"", inner, undefined=undefined)
    if undefined:
        item += element(DELIMITERS, 0xE00D, b"", b"") + element(DELIMITERS, 0xE0DD, b"", b"")
    data = element(8, 0x1115, b"SQ", item, implicit, undefined) + element(8, 0x60, b"CS", b"SM", implicit)
    data += element(0x20, 0xE, b"UI", series.encode(), implicit) + element(0x28, 2, b"US", b"\x03\0", implicit)
    data += element(0x28, 4, b"CS", photometric.encode(), implicit) + element(0x28, 0x100, b"US", b"\x08\0", implicit)
    data += element(0x48, 0x303, b"UL", b"\x05\0\0\0", implicit)
    return bytes(128) + b"DICM" + meta + data + bytes(12)


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", [JPEG, IMPLICIT])
def test_fields_are_read_from_the_header(tmp_path, syntax, undefined):
    (tmp_path / "slide.dcm").write_bytes(dicom(syntax, "YBR_FULL", undefined))
    assert read_header(tmp_path / "slide.dcm") == Header(
        transfer_syntax=syntax, photometric="YBR_FULL", series="1.2.3", samples=3, bits=8, focal_planes=5
    )


def test_fields_missing_from_a_header_are_unknown(tmp_path):
    whole = dicom(JPEG, "RGB")
    (tmp_path / "slide.dcm").write_bytes(whole)
    for length in range(128, len(whole)):
        (tmp_path / "slide.dcm").write_bytes(whole[:length])
        found = read_header(tmp_path / "slide.dcm")
        assert found is None or (found.transfer_syntax in ("", JPEG) and found.photometric in ("", "RGB"))
    (tmp_path / "slide.dcm").write_bytes(dicom(DEFLATED, "RGB"))
    assert str(read_header(tmp_path / "slide.dcm")).endswith("(deflated), photometric interpretation unknown")
    (tmp_path / "slide.dcm").write_bytes(b"II*\0")
    assert read_header(tmp_path / "slide.dcm") is None


@needs_data
def test_the_error_for_dicom_without_wsidicom_has_its_format_and_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "wsidicom", None)
    for path in (DATA / "formats" / "dicom-jpeg").iterdir():
        with pytest.raises(Unusable, match=r"1\.2\.4\.50 \(JPEG baseline\).* YBR_FULL.* package wsidicom") as caught:
            open_slide(path)
        assert caught.value.outcome == "unsupported"


def test_the_error_for_dicom_that_no_package_decodes_has_its_format_and_the_conversion(tmp_path):
    pytest.importorskip("wsidicom")
    folder = write_dicom(tmp_path / "slide", [np.zeros((64, 64, 3), np.uint8)])
    content = (folder / "0-0.dcm").read_bytes()
    (folder / "0-0.dcm").write_bytes(content.replace(b"10008.1.2.4.80", b"10008.1.2.4.99"))
    with pytest.raises(Unusable, match=r"1\.2\.4\.99, photometric interpretation RGB.* bfconvert") as caught:
        open_slide(folder)
    assert caught.value.outcome == "unsupported"


@needs_data
def test_truncated_dicom_is_reported_as_damaged_not_as_unsupported(tmp_path):
    source = next((DATA / "formats" / "dicom-jpeg").iterdir())
    (tmp_path / "slide.dcm").write_bytes(source.read_bytes()[:600])
    with pytest.raises(Unusable, match="copy it again") as caught:
        open_slide(tmp_path / "slide.dcm")
    assert caught.value.outcome == "unreadable"

"""Writers of tiny slides in formats that need optional packages. A pyramid is a list of uint8 (H, W, 3)."""

import json
import struct
from pathlib import Path

import imagecodecs
import numpy as np

MPP = 0.5
TILE_PX = 64
AXES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}


def write_ome_zarr(folder: Path, pyramid, version="0.4", *, axes="tczyx", mpp=MPP, unit="micrometer", codec="auto"):
    """Chunks of TILE_PX; the image's own scale is doubled by one for all levels, as the format allows."""
    import zarr

    datasets = []
    for level, pixels in enumerate(pyramid):
        order = [axis for axis in axes if axis in "cyx"]
        values = pixels.transpose(["yxc".index(axis) for axis in order])
        values = np.expand_dims(values, [at for at, axis in enumerate(axes) if axis in "tz"])
        chunks = tuple(TILE_PX if axis in "yx" else 1 for axis in axes)
        format = 2 if version == "0.4" else 3
        zarr.create_array(folder / str(level), data=values, chunks=chunks, zarr_format=format, compressors=codec)
        scale = [mpp / 2 * 2**level if axis in "yx" else 1.0 for axis in axes]
        datasets.append({"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]})
    named = [{"name": axis, "type": AXES[axis]} | ({"unit": unit} if unit and axis in "zyx" else {}) for axis in axes]
    twice = [{"type": "scale", "scale": [2.0 if axis in "yx" else 1.0 for axis in axes]}]
    image = {"axes": named, "datasets": datasets, "coordinateTransformations": twice}
    write_zarr_attributes(folder, {"multiscales": [image]}, version)
    return folder


def write_zarr_attributes(folder: Path, attributes, version):
    folder.mkdir(exist_ok=True)
    if version == "0.4":
        for image in attributes.get("multiscales", []):
            image["version"] = version
        (folder / ".zgroup").write_text('{"zarr_format": 2}')
        (folder / ".zattrs").write_text(json.dumps(attributes))
    else:
        group = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": {"version": version} | attributes}}
        (folder / "zarr.json").write_text(json.dumps(group))


def write_czi(path: Path, *scenes: np.ndarray, planes=({},), mpp=MPP, pixel_type=np.uint8):
    """Scenes side by side, without a pyramid, which the package cannot write."""
    from pylibCZIrw import czi

    with czi.create_czi(str(path), exist_ok=True) as file:
        for number, pixels in enumerate(scenes):
            at = {"location": (7 + 10_000 * number, 11)} | ({"scene": number} if len(scenes) > 1 else {})
            for plane in planes:
                file.write(np.ascontiguousarray(pixels[..., ::-1].astype(pixel_type)), plane=plane, **at)
        file.write_metadata("slide", scale_x=mpp * 1e-6, scale_y=mpp * 1e-6)
    return path


def write_dicom(folder: Path, pyramid, *, parts=1, series="1.2.3", **fields):
    """A level is `parts` instances of lossless JPEG-LS, which OpenSlide does not decode."""
    folder.mkdir(exist_ok=True)
    for level, pixels in enumerate(pyramid):
        frames = [imagecodecs.jpegls_encode(tile) for tile in _tiles(pixels)]
        each = -(-len(frames) // parts)
        for part in range(parts):
            instance = _instance(pixels, level, series)
            if parts > 1:
                instance.ConcatenationUID = f"{series}.9.{level}"
                instance.SOPInstanceUIDOfConcatenationSource = f"{series}.8.{level}"
                instance.InConcatenationNumber, instance.InConcatenationTotalNumber = part + 1, parts
                instance.ConcatenationFrameOffsetNumber = part * each
            instance.update(fields)
            _save(instance, frames[part * each : (part + 1) * each], folder / f"{level}-{part}.dcm")
    return folder


def _tiles(pixels):
    height, width = (-(-side // TILE_PX) * TILE_PX for side in pixels.shape[:2])
    whole = np.pad(pixels, [(0, height - pixels.shape[0]), (0, width - pixels.shape[1]), (0, 0)])
    for y in range(0, height, TILE_PX):
        for x in range(0, width, TILE_PX):
            yield np.ascontiguousarray(whole[y : y + TILE_PX, x : x + TILE_PX])


def _instance(pixels, level, series):
    from pydicom.dataset import Dataset

    result = Dataset()
    result.SOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.6"
    result.StudyInstanceUID, result.SeriesInstanceUID, result.FrameOfReferenceUID = "1.2.1", series, "1.2.2"
    result.Modality, result.ContainerIdentifier = "SM", "slide"
    result.ImageType = ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED" if level else "NONE"]
    result.Rows = result.Columns = TILE_PX
    result.TotalPixelMatrixRows, result.TotalPixelMatrixColumns = pixels.shape[:2]
    result.SamplesPerPixel, result.PhotometricInterpretation, result.PlanarConfiguration = 3, "RGB", 0
    result.BitsAllocated = result.BitsStored = 8
    result.HighBit, result.PixelRepresentation = 7, 0
    result.DimensionOrganizationType, result.TotalPixelMatrixFocalPlanes = "TILED_FULL", 1
    mm = MPP * 2**level / 1000
    result.ImagedVolumeHeight, result.ImagedVolumeWidth = (side * mm for side in pixels.shape[:2])
    result.ImagedVolumeDepth = 0.001
    measures, shared, path, origin = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [mm, mm], 0.001
    shared.PixelMeasuresSequence = [measures]
    result.SharedFunctionalGroupsSequence = [shared]
    path.OpticalPathIdentifier = "0"
    result.OpticalPathSequence, result.NumberOfOpticalPaths = [path], 1
    origin.XOffsetInSlideCoordinateSystem = origin.YOffsetInSlideCoordinateSystem = 0
    result.TotalPixelMatrixOriginSequence = [origin]
    result.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    result.FocusMethod, result.ExtendedDepthOfField = "AUTO", "NO"
    return result


def _save(instance, frames, path):
    from pydicom.dataset import FileMetaDataset
    from pydicom.encaps import encapsulate

    instance.file_meta = FileMetaDataset()
    instance.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.80"
    instance.SOPInstanceUID = f"{instance.SeriesInstanceUID}.7.{path.stem.replace('-', '.')}"
    instance.file_meta.MediaStorageSOPClassUID = instance.SOPClassUID
    instance.file_meta.MediaStorageSOPInstanceUID = instance.SOPInstanceUID
    instance.NumberOfFrames = len(frames)
    instance.PixelData = encapsulate(frames)
    instance["PixelData"].is_undefined_length = True
    instance.save_as(path, enforce_file_format=True)


def write_czi_pyramid(path: Path, pyramid, at=(0, 0)):
    """An uncompressed CZI (DS_ZISRAW-FileFormat) in tiles of TILE_PX of each level; `at` is its corner."""
    subblocks = []
    for level, pixels in enumerate(pyramid):
        for y in range(0, pixels.shape[0], TILE_PX):
            for x in range(0, pixels.shape[1], TILE_PX):
                tile = np.ascontiguousarray(pixels[y : y + TILE_PX, x : x + TILE_PX, ::-1])
                height, width = tile.shape[:2]
                place = [("X", at[0] + x * 2**level, width * 2**level, width)]
                place += [("Y", at[1] + y * 2**level, height * 2**level, height), ("C", 0, 1, 1), ("S", 0, 1, 1)]
                subblocks.append((tile.tobytes(), [*place, ("M", len(subblocks), 1, 1)][: 5 if level == 0 else 4]))
    size = f"<SizeX>{pyramid[0].shape[1]}</SizeX><SizeY>{pyramid[0].shape[0]}</SizeY><SizeS>1</SizeS>"
    steps = "".join(f'<Distance Id="{axis}"><Value>{MPP * 1e-6}</Value></Distance>' for axis in "XY")
    information = f"<Information><Image>{size}</Image></Information><Scaling><Items>{steps}</Items></Scaling>"
    text = f"<ImageDocument><Metadata>{information}</Metadata></ImageDocument>".encode()
    metadata = _segment("ZISRAWMETADATA", struct.pack("<ii248x", len(text), 0) + text)
    position, stored, entries = 544 + len(metadata), [], []
    for content, place in subblocks:
        entries.append(_czi_entry(place, position))
        head = struct.pack("<iiq", 0, 0, len(content)) + entries[-1]
        stored.append(_segment("ZISRAWSUBBLOCK", head.ljust(256, b"\0") + content))
        position += len(stored[-1])
    directory = _segment("ZISRAWDIRECTORY", struct.pack("<i124x", len(entries)) + b"".join(entries))
    attachments = _segment("ZISRAWATTDIR", bytes(256))
    where = (position, 544, 0, position + len(directory))
    header = struct.pack("<iiii16s16siqqiq", 1, 0, 0, 0, b"one", b"one", 0, *where).ljust(512, b"\0")
    path.write_bytes(b"".join((_segment("ZISRAWFILE", header), metadata, *stored, directory, attachments)))
    return path


def _segment(name, content):
    allocated = -(-len(content) // 32) * 32
    return struct.pack("<16sqq", name.encode(), allocated, len(content)) + content.ljust(allocated, b"\0")


def _czi_entry(place, position):
    bgr24, uncompressed = 3, 0
    head = struct.pack("<2siqiib5xi", b"DV", bgr24, position, 0, uncompressed, 0 if len(place) == 5 else 1, len(place))
    return head + b"".join(struct.pack("<4siifi", axis.encode(), *each[:2], 0.0, each[2]) for axis, *each in place)

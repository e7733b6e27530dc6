"""What a file and a line here extend: name in the config -> the object `module:name` that implements it.

`pkgutil.resolve_name` imports the object where it is used, so that planning imports neither it nor its libraries.
"""

DENOISERS = {
    "additive_embedding": "gensis.diffusion.denoisers.additive_embedding:ADDITIVE_EMBEDDING",
    "cross_attention": "gensis.diffusion.denoisers.cross_attention:CROSS_ATTENTION",
}
"""Each is a `gensis.diffusion.denoiser.Denoiser`."""

READERS = {
    "tiff": "gensis.slides.tiff_reader:TiffReader",
    "picture": "gensis.slides.picture_reader:PictureReader",
    "ome_zarr": "gensis.slides.ome_zarr_reader:OmeZarrReader",
    "openslide": "gensis.slides.openslide_reader:OpenSlideReader",
    "dicom": "gensis.slides.dicom_reader:DicomReader",
    "czi": "gensis.slides.czi_reader:CziReader",
}
"""Each is a `gensis.slides.reader.Reader`. `auto` takes the first that recognises a file: `openslide` recognises all,
and those after it are for files that OpenSlide refuses."""

CORRUPTIONS = {
    "noise": "gensis.augment.corruptions.noise:GAUSSIAN_NOISE",
    "shot": "gensis.augment.corruptions.noise:SHOT_NOISE",
    "impulse": "gensis.augment.corruptions.noise:IMPULSE_NOISE",
    "blur": "gensis.augment.corruptions.blur:GAUSSIAN_BLUR",
    "defocus": "gensis.augment.corruptions.blur:DEFOCUS",
    "glass": "gensis.augment.corruptions.blur:GLASS",
    "motion": "gensis.augment.corruptions.blur:MOTION",
    "zoom": "gensis.augment.corruptions.blur:ZOOM",
    "snow": "gensis.augment.corruptions.weather:SNOW",
    "fog": "gensis.augment.corruptions.weather:FOG",
    "brightness": "gensis.augment.corruptions.digital:BRIGHTNESS",
    "contrast": "gensis.augment.corruptions.digital:CONTRAST",
    "elastic": "gensis.augment.corruptions.digital:ELASTIC",
    "pixelate": "gensis.augment.corruptions.digital:PIXELATE",
    "jpeg": "gensis.augment.corruptions.digital:JPEG",
    "stain": "gensis.augment.corruptions.digital:STAIN",
}
"""Each is a `gensis.augment.corruptions.corruption.Severities`."""

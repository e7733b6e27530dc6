"""The SSL methods, one file each; `gensis.settings.methods` lists them."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStaticFiles(CompressedManifestStaticFilesStorage):
    """Static files named by their content, the modules that scripts import among them: after a
    deployment no browser mixes old modules with new ones.
    """

    support_js_module_import_aggregation = True

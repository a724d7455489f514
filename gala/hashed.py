"""Static files under names that tell their content, so that browsers keep them for ever."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedModules(CompressedManifestStaticFilesStorage):
    """Modules name each other, too: what they import gets the name that tells its content."""

    support_js_module_import_aggregation = True

"""Stands in for a package's build backend, so that pip hands over the source archive without building anything.

pip asks the backend for the package's metadata, which the archive has already: PKG-INFO.
"""

import email
import os
import sys


class Backend:
    """The hooks that pip calls. A class, as some packages derive their own backend from it."""

    def get_requires_for_build_wheel(self, config_settings: object = None) -> list[str]:
        """Nothing is built, so nothing is needed."""
        return []

    def build_wheel(self, wheel_directory: str, config_settings: object = None, metadata: object = None) -> str:
        """Refuse: pip was only asked for the archive."""
        raise NotImplementedError

    def prepare_metadata_for_build_wheel(self, metadata_directory: str, config_settings: object = None) -> str:
        """Put the archive's own metadata where pip looks for it."""
        with open("PKG-INFO", encoding="utf-8") as file:
            text = file.read()
        facts = email.message_from_string(text)
        name = f"{facts['Name'].replace('-', '_')}-{facts['Version']}.dist-info"
        folder = os.path.join(metadata_directory, name)
        os.makedirs(folder)
        for file_name, content in (("METADATA", text), ("WHEEL", "Wheel-Version: 1.0\n")):
            with open(os.path.join(folder, file_name), "w", encoding="utf-8") as file:
                file.write(content)
        return name


__all__ = ["build_wheel", "get_requires_for_build_wheel", "prepare_metadata_for_build_wheel"]
_backend = Backend()
get_requires_for_build_wheel = _backend.get_requires_for_build_wheel
build_wheel = _backend.build_wheel
prepare_metadata_for_build_wheel = _backend.prepare_metadata_for_build_wheel

# Packages without a declared backend are asked through this name.
__legacy__ = sys.modules[__name__]

"""Drop-in faces of older systems: change an import, and go on."""

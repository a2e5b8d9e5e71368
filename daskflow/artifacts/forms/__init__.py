"""Values as bytes: the table of formats, and each of them."""

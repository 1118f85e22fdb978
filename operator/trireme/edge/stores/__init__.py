"""Where models' files come from: one small class a protocol, behind `types.Store`.

`open.open_store` picks the class by the URI's scheme and imports it, and its library, only then.
"""

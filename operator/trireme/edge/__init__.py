"""The only code that talks to anything: one small class a protocol."""

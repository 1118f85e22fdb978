"""Brings models' files into a pod's volume, in its init container: `trireme fetch`.

`program` runs a plan, `version` brings one version of one model. All state is in files, written so
that a run may be killed at any line and the next one goes on from there: parts and their journals,
then a finished folder that one rename publishes.
"""

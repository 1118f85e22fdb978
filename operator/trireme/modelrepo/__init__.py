"""From a spec to a Triton model repository: complete configurations, files, digests.

Pure: values in, values out. `plan.plan` resolves the spec, `render.render` writes it.
"""

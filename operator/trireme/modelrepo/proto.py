"""Triton's ModelConfig protobuf, as Triton's own client ships it.

One import for the whole package: a second copy of the descriptors would clash with the client's.
"""

from google.protobuf import json_format, message_factory, text_format
from tritonclient.grpc import model_config_pb2

ModelConfig = model_config_pb2.ModelConfig

__all__ = ["ModelConfig", "json_format", "message_factory", "model_config_pb2", "text_format"]

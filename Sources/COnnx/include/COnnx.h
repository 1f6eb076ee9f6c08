#pragma once
#include "onnx.pb-c.h"

// The descriptors' own addresses: Swift imports the globals by value, which loses them.
static inline const ProtobufCMessageDescriptor *onnx_model_descriptor(void) { return &onnx__model_proto__descriptor; }
static inline const ProtobufCMessageDescriptor *onnx_tensor_descriptor(void) { return &onnx__tensor_proto__descriptor; }
static inline const ProtobufCMessageDescriptor *onnx_sequence_descriptor(void) { return &onnx__sequence_proto__descriptor; }
static inline const ProtobufCMessageDescriptor *onnx_optional_descriptor(void) { return &onnx__optional_proto__descriptor; }

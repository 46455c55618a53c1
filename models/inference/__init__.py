"""The shipped network on a CPU: ONNX Runtime, numpy and OpenCV; neither torch nor any teacher."""

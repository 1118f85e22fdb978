"""An open-loop load generator for Triton's HTTP and gRPC interfaces.

`python -m load --url demo --model policy --input x:FP32:1x16 --profile 60s@40,120s@160`: each
request leaves at the time the arrival process gives it, whatever became of the others, so that a
slow server cannot slow the load down and hide its own latency (coordinated omission).

    arrivals   a rate profile becomes arrival times                  pure
    results    outcomes become a report a second and a summary       pure
    tensors    what is sent, and the check of the answer             pure
    generator  sends each arrival at its time                        no network
    clients    tritonclient over HTTP keep-alive and gRPC, no retries
"""

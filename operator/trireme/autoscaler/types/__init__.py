"""The values of the scaling decision, each made in one place and flowing one way.

`signals.assemble` makes Signals or NoSignals from query results; the control loop adds what the
cluster says and makes an Observation; `policy.policy_of` reads the spec into a Policy;
`decision.decide` turns Observation, Policy and Memory into a Decision and the next Memory.
Times are aware datetimes; durations timedeltas; latencies and rates floats in the unit of their
name.
"""

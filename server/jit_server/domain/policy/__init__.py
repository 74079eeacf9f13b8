"""The policy: who may become what, where, for how long, under which conditions, approved by whom (SPEC 9).

Pure: no clock, no files, no store.  `model` is what the files say once they are read; `decision` weighs one ask against
it, and is the one engine behind every answer, given to a host, an administrator or a policy's own tests.
"""

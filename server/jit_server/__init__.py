"""The central server: policy, requests, approvals, grants, audit."""

"""jitctl, the command of approvers, administrators and auditors."""

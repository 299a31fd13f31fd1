"""The clouds VMM knows: the door every cloud stands behind, and the embedded `local` one."""

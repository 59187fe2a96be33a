"""Functions and programs of users: found, run in a process of their own, and never shown more than their role asks for."""

"""
Data access as an agent makes it: what a library is about to touch, said in the words of permissions.

`sql_reading` says which tables an SQL text reads and changes. Nothing here decides anything.
"""

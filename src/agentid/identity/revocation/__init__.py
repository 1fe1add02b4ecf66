"""
What was taken back, and how others learn of it.

- `revoked`: what is known to be taken back, and whether that is known at all;
- `store`: the file beside an authority's keys, for the processes of one machine;
- `status_list`, `status_source`: the published list, written and read, for everybody else;
- `revoker`: the authority's side, which takes back and gives back.
"""

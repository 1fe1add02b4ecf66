"""
The keys of an authority: kept, replaced and published.

- `key_ring`: the keys in use and those that were replaced, with the time until which they are trusted;
- `key_file`, `public_pem`: the file that they stand in;
- `key_store`, `file_lock`: that file as several processes see and change it;
- `bundle`: the public ones as they are published.
"""

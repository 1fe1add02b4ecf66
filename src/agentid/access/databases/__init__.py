"""Databases that are asked in SQL: sqlite3, aiosqlite, psycopg and SQLAlchemy."""

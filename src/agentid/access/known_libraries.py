"""
Data libraries that have no file here, and what can be known of them all the same.

This is a table and no more: `coverage` reads it, and of a library that has a file of its own believes that file.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["KNOWN", "Known"]


class Known(NamedTuple):
    """
    A library that is not wrapped.

    Attributes:
        name: What people call it.
        module: What is imported.
        distribution: What is installed.
        why: Why it is not enforced, in a few words.
        seen: What the tripwire sees of it at work; empty if nothing.
        stands_on: Modules below it that all its accesses go through: where they are wrapped, it is enforced by them.
    """

    name: str
    module: str
    distribution: str
    why: str
    seen: str = ""
    stands_on: tuple[str, ...] = ()


_SOCKET: Final = "speaks its own protocol over Python's sockets"
_HOST: Final = "the host, and not what is asked of it"
_FILE: Final = "the file, and not what is asked of it"
_BELOW: Final = "what is below it"
_LIBPQ: Final = "connects in C (libpq)"
_ODBC: Final = "connects in C (a driver of ODBC)"
_ARROW: Final = "reads and writes in C++, local and remote"
_RUST: Final = "reads and writes in Rust, local and remote"
_EMBEDDED: Final = "keeps its files open in C, without Python"
_GDAL: Final = "reads and writes in C (GDAL), local and remote"
_CURL: Final = "connects in C (libcurl)"
_GRPC: Final = "connects in C (gRPC)"
_GLIBC: Final = "connects in C"
_HTTP_SOCKET: Final = "speaks HTTP over Python's sockets"

KNOWN: Final = (
    # databases
    Known("adbc", "adbc_driver_manager", "adbc-driver-manager", "connects in drivers of C, C++ and Go"),
    Known("aiomysql", "aiomysql", "aiomysql", _SOCKET, _HOST),
    Known("apsw", "apsw", "apsw", "has an SQLite of its own, in C"),
    Known("asyncmy", "asyncmy", "asyncmy", _SOCKET, _HOST),
    Known("asyncpg", "asyncpg", "asyncpg", _SOCKET, _HOST),
    Known("cassandra-driver", "cassandra", "cassandra-driver", _SOCKET, _HOST),
    Known("clickhouse-connect", "clickhouse_connect", "clickhouse-connect", _HTTP_SOCKET, _HOST, ("urllib3",)),
    Known("clickhouse-driver", "clickhouse_driver", "clickhouse-driver", _SOCKET, _HOST),
    Known("connectorx", "connectorx", "connectorx", "connects in Rust"),
    Known("couchbase", "couchbase", "couchbase", "connects in C++"),
    Known("cx_Oracle", "cx_Oracle", "cx_Oracle", "connects in C (Oracle's client)"),
    Known("duckdb", "duckdb", "duckdb", "a whole database in C++: files, S3 and HTTP of its own"),
    Known("kuzu", "kuzu", "kuzu", "a whole database in C++"),
    Known("lmdb", "lmdb", "lmdb", _EMBEDDED),
    Known("mariadb", "mariadb", "mariadb", _GLIBC),
    Known("mysql-connector", "mysql", "mysql-connector-python", "connects in C where its extension is there"),
    Known("mysqlclient", "MySQLdb", "mysqlclient", _GLIBC),
    Known("neo4j", "neo4j", "neo4j", _SOCKET, _HOST),
    Known("oracledb", "oracledb", "oracledb", "connects in C in its thick mode, and by sockets in the thin one"),
    Known("plyvel", "plyvel", "plyvel", _EMBEDDED),
    Known("psycopg2", "psycopg2", "psycopg2", _LIBPQ),
    Known("psycopg2-binary", "psycopg2", "psycopg2-binary", _LIBPQ),
    Known("pymongo", "pymongo", "pymongo", _SOCKET, _HOST),
    Known("pymssql", "pymssql", "pymssql", "connects in C (FreeTDS)"),
    Known("PyMySQL", "pymysql", "PyMySQL", _SOCKET, _HOST),
    Known("pyodbc", "pyodbc", "pyodbc", _ODBC),
    Known("pysqlite3", "pysqlite3", "pysqlite3", "has an SQLite of its own, in C"),
    Known("rocksdict", "rocksdict", "rocksdict", _EMBEDDED),
    Known("snowflake", "snowflake.connector", "snowflake-connector-python", "has an HTTP client of its own", _HOST),
    # tables and arrays
    Known("deltalake", "deltalake", "deltalake", _RUST),
    Known("fastparquet", "fastparquet", "fastparquet", "opens files by fsspec or Python", _FILE),
    Known("fiona", "fiona", "fiona", _GDAL),
    Known("gdal", "osgeo", "GDAL", _GDAL),
    Known("h5py", "h5py", "h5py", "reads and writes in C (HDF5)"),
    Known("netCDF4", "netCDF4", "netCDF4", "reads and writes in C, local and remote"),
    Known("pandas", "pandas", "pandas", "Parquet, Feather, ORC and HDF5 are read in C and C++; text by Python's files"),
    Known("polars", "polars", "polars", _RUST),
    Known("pyarrow", "pyarrow", "pyarrow", _ARROW),
    Known("pyiceberg", "pyiceberg", "pyiceberg", "reads and writes by pyarrow, in C++"),
    Known("pyogrio", "pyogrio", "pyogrio", _GDAL),
    Known("rasterio", "rasterio", "rasterio", _GDAL),
    Known("tables", "tables", "tables", "reads and writes in C (HDF5)"),
    Known("tiledb", "tiledb", "tiledb", "reads and writes in C++, local and remote"),
    # vectors
    Known("chromadb", "chromadb", "chromadb", "keeps its files in Rust and C++"),
    Known("faiss", "faiss", "faiss-cpu", "reads and writes its files in C++"),
    Known("hnswlib", "hnswlib", "hnswlib", "reads and writes its files in C++"),
    Known("lancedb", "lancedb", "lancedb", _RUST),
    Known("milvus", "pymilvus", "pymilvus", _GRPC),
    Known("pinecone", "pinecone", "pinecone", _HTTP_SOCKET, _HOST, ("urllib3",)),
    Known("qdrant-client", "qdrant_client", "qdrant-client", "connects in C (gRPC) where that is preferred to HTTP"),
    Known("usearch", "usearch", "usearch", "reads and writes its files in C++"),
    Known("weaviate", "weaviate", "weaviate-client", _GRPC),
    # the network
    Known("curl_cffi", "curl_cffi", "curl_cffi", _CURL),
    Known("elasticsearch", "elasticsearch", "elasticsearch", _HTTP_SOCKET, _HOST, ("urllib3",)),
    Known("grpc", "grpc", "grpcio", _GRPC),
    Known("kafka-python", "kafka", "kafka-python", _SOCKET, _HOST),
    Known("confluent-kafka", "confluent_kafka", "confluent-kafka", "connects in C (librdkafka)"),
    Known("ldap3", "ldap3", "ldap3", _SOCKET, _HOST),
    Known("opensearch", "opensearchpy", "opensearch-py", _HTTP_SOCKET, _HOST, ("urllib3",)),
    Known("paramiko", "paramiko", "paramiko", _SOCKET, _HOST),
    Known("pika", "pika", "pika", _SOCKET, _HOST),
    Known("primp", "primp", "primp", "connects in Rust"),
    Known("pycurl", "pycurl", "pycurl", _CURL),
    Known("pyzmq", "zmq", "pyzmq", "connects in C++ (ZeroMQ)"),
    Known("rnet", "rnet", "rnet", "connects in Rust"),
    Known("tls-client", "tls_client", "tls-client", "connects in Go"),
    Known("uvloop", "uvloop", "uvloop", "connects in C (libuv), for whatever runs on its event loop"),
    Known("websockets", "websockets", "websockets", _SOCKET, _HOST),
    # object stores
    Known("awscrt", "awscrt", "awscrt", "connects in C"),
    Known("azure-storage-blob", "azure.storage.blob", "azure-storage-blob", _HTTP_SOCKET, _HOST, ("requests",)),
    Known("google-cloud-storage", "google.cloud.storage", "google-cloud-storage", _HTTP_SOCKET, _HOST, ("requests",)),
    Known("minio", "minio", "minio", _HTTP_SOCKET, _HOST, ("urllib3",)),
    Known("obstore", "obstore", "obstore", _RUST),
)  # fmt: skip

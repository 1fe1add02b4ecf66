"""
The functions that an SQL text may call and still be understood: built in, and without effects beyond their result.

Everything else is not understood: a function that nobody here knows may read a file, send a message, run
another SQL text or change a sequence. So these are lists of what is allowed, by dialect, and nothing is added to one
unless all of its forms are harmless.

Left out on purpose, as examples: `nextval` and `setval` change a sequence; `query_to_xml`, `ts_stat`, `ts_rewrite`
and `json_execute_serialized_sql` run a text; `pg_read_file`, `load_file` and `read_csv` read files; `current_setting`
and `getvariable` read what a server or a session keeps; `set_config` changes it; `pg_sleep`, `sleep` and `benchmark`
hold a connection; `load_extension` loads code.
"""

from __future__ import annotations

from typing import Final

__all__ = ["FUNCTIONS", "SPECIAL_FORMS", "TABLE_FUNCTIONS"]

_COMMON = """
abs acos ascii asin atan atan2 avg ceil ceiling coalesce concat concat_ws cos count cume_dist degrees dense_rank exp
first_value floor lag last_value lead left length ln log lower lpad ltrim max min mod now nth_value ntile nullif
octet_length percent_rank pi power radians rank repeat replace reverse right round row_number rpad rtrim sign sin sqrt
substr substring sum tan trim upper version
"""

_POSTGRES = """
acosd acosh age array array_agg array_append array_cat array_dims array_fill array_length array_lower array_ndims
array_position array_positions array_prepend array_remove array_replace array_to_json array_to_string array_upper
asind asinh atan2d atand atanh bit_and bit_count bit_length bit_or bit_xor bool_and bool_or btrim cardinality cbrt
char_length character_length chr clock_timestamp convert_from convert_to corr cosd cosh cot cotd covar_pop covar_samp
current_database current_schema current_schemas current_time current_timestamp date date_bin date_part date_trunc
daterange decode div encode enum_first enum_last enum_range erf erfc every extract factorial format format_type gcd
gen_random_uuid generate_series generate_subscripts get_bit get_byte greatest grouping has_column_privilege
has_schema_privilege has_table_privilege initcap int4range int8range isempty isfinite json_agg json_array_elements
json_array_elements_text json_array_length json_build_array json_build_object json_each json_each_text
json_extract_path json_extract_path_text json_object json_object_agg json_object_keys json_populate_record
json_populate_recordset json_strip_nulls json_to_record json_to_recordset json_typeof jsonb_agg jsonb_array_elements
jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text
jsonb_extract_path jsonb_extract_path_text jsonb_insert jsonb_object jsonb_object_agg jsonb_object_keys
jsonb_path_exists jsonb_path_match jsonb_path_query jsonb_path_query_array jsonb_path_query_first
jsonb_populate_record jsonb_populate_recordset jsonb_pretty jsonb_set jsonb_set_lax jsonb_strip_nulls jsonb_to_record
jsonb_to_recordset jsonb_typeof justify_days justify_hours justify_interval lastval lcm least localtime localtimestamp
log10 lower_inc lower_inf make_date make_interval make_time make_timestamp make_timestamptz md5 min_scale mode
multirange normalize num_nonnulls num_nulls numeric numnode numrange parse_ident percentile_cont percentile_disc
pg_backend_pid pg_column_size pg_table_is_visible pg_typeof phraseto_tsquery plainto_tsquery position quote_ident
quote_literal quote_nullable random range_agg range_merge regexp_count regexp_instr regexp_like regexp_match
regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table regexp_substr regr_avgx regr_avgy regr_count
regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy row row_to_json scale session_user setweight sha224
sha256 sha384 sha512 sind sinh split_part starts_with statement_timestamp stddev stddev_pop stddev_samp string_agg
string_to_array string_to_table strip strpos tand tanh timeofday to_ascii to_char to_date to_hex to_json to_jsonb
to_number to_regtype to_timestamp to_tsquery to_tsvector transaction_timestamp translate trim_array trim_scale trunc
ts_headline ts_rank ts_rank_cd tsrange tstzrange unistr unnest upper_inc upper_inf var_pop var_samp variance
websearch_to_tsquery width_bucket xmlagg xpath xpath_exists
"""

_SQLITE = """
acosh asinh atanh bm25 changes char cosh current_date current_time current_timestamp date datetime format glob
group_concat hex highlight ifnull iif instr json json_array json_array_length json_each json_error_position
json_extract json_group_array json_group_object json_insert json_object json_patch json_pretty json_quote json_remove
json_replace json_set json_tree json_type json_valid jsonb jsonb_array jsonb_extract jsonb_group_array
jsonb_group_object jsonb_insert jsonb_object jsonb_patch jsonb_remove jsonb_replace jsonb_set julianday
last_insert_rowid like likelihood likely log10 log2 matchinfo nullif offsets pow printf quote random randomblob sinh
snippet soundex sqlite_source_id sqlite_version strftime string_agg tanh time timediff total total_changes trunc
typeof unhex unicode unixepoch unlikely zeroblob
"""

_MYSQL = """
adddate addtime any_value bin bin_to_uuid bit_and bit_count bit_length bit_or bit_xor char char_length
character_length coercibility collation connection_id conv convert_tz cot crc32 curdate current_date current_time
current_timestamp current_user curtime database date date_add date_format date_sub datediff day dayname dayofmonth
dayofweek dayofyear elt export_set field find_in_set format found_rows from_base64 from_days from_unixtime get_format
greatest group_concat grouping hex hour if ifnull inet6_aton inet6_ntoa inet_aton inet_ntoa insert instr interval
is_uuid isnull json_array json_array_append json_array_insert json_arrayagg json_contains json_contains_path
json_depth json_extract json_insert json_keys json_length json_merge_patch json_merge_preserve json_object
json_objectagg json_overlaps json_pretty json_quote json_remove json_replace json_search json_set json_storage_size
json_type json_unquote json_valid json_value last_day last_insert_id lcase least locate log10 log2 ltrim make_set
makedate maketime md5 microsecond mid minute month monthname oct ord period_add period_diff position pow quarter quote
rand regexp_instr regexp_like regexp_replace regexp_substr row row_count schema sec_to_time second session_user sha
sha1 sha2 soundex space std stddev stddev_pop stddev_samp str_to_date strcmp subdate substring_index subtime sysdate
system_user time time_format time_to_sec timediff timestamp timestampadd timestampdiff to_base64 to_days to_seconds
truncate ucase unhex unix_timestamp user utc_date utc_time utc_timestamp uuid uuid_short uuid_to_bin values var_pop
var_samp variance week weekday weekofyear weight_string year yearweek
"""

_DUCKDB = """
acosh age any_value approx_count_distinct approx_quantile approx_top_k arbitrary arg_max arg_max_null arg_min
arg_min_null argmax argmin array_agg array_append array_concat array_contains array_distance array_distinct
array_extract array_filter array_has array_has_all array_has_any array_indexof array_intersect array_length
array_position array_prepend array_reverse_sort array_slice array_sort array_to_json array_to_string array_transform
array_unique array_value asinh atanh bar base64 bin bit_and bit_count bit_length bit_or bit_xor bool_and bool_or
cardinality cbrt century char_length character_length chr contains corr cosh cot count_if count_star countif covar_pop
covar_samp current_catalog current_database current_date current_localtime current_localtimestamp current_schema
current_schemas damerau_levenshtein date_add date_diff date_part date_sub date_trunc datediff datepart datesub
datetrunc day dayname dayofmonth dayofweek dayofyear decade decode element_at encode ends_with entropy enum_first
enum_last enum_range epoch epoch_ms epoch_ns epoch_us era even factorial favg first flatten fmod format format_bytes
from_base64 from_hex from_json fsum gamma gcd gen_random_uuid generate_series generate_subscripts geomean
get_current_timestamp greatest group_concat grouping hamming hash hex histogram hour if ifnull instr isfinite isinf
isnan isodow isoyear jaccard jaro_similarity jaro_winkler_similarity json json_array json_array_length json_contains
json_each json_exists json_extract json_extract_path json_extract_path_text json_extract_string json_group_array
json_group_object json_keys json_merge_patch json_object json_pretty json_quote json_structure json_transform
json_tree json_type json_valid json_value julian kurtosis last last_day lcase lcm least len levenshtein lgamma list
list_aggregate list_append list_apply list_avg list_concat list_contains list_count list_distinct list_element
list_extract list_filter list_has list_has_all list_has_any list_indexof list_intersect list_max list_min list_pack
list_position list_prepend list_reduce list_reverse list_reverse_sort list_select list_slice list_sort list_sum
list_transform list_unique list_value list_where list_zip listagg log10 log2 mad make_date make_time make_timestamp
make_timestamptz map map_contains map_entries map_extract map_from_entries map_keys map_values max_by md5 mean median
microsecond millisecond min_by minute mode month monthname nfc_normalize ord parse_filename pow prefix printf product
quantile quantile_cont quantile_disc quarter random range regexp_escape regexp_extract regexp_extract_all
regexp_full_match regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table regr_avgx regr_avgy
regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy reservoir_quantile round_even row row_to_json
second sha1 sha256 signbit sinh skewness split split_part starts_with stddev stddev_pop stddev_samp str_split strftime
string_agg string_split string_to_array strip_accents strlen strpos strptime struct_extract struct_insert struct_keys
struct_pack suffix tanh time_bucket timezone to_base to_base64 to_days to_hex to_hours to_json to_microseconds
to_milliseconds to_minutes to_months to_seconds to_timestamp to_weeks to_years today translate trunc try_strptime
typeof ucase unbin unhex unicode union_extract union_tag union_value unnest url_decode url_encode uuid var_pop
var_samp variance wavg week weekday weekofyear xor year yearweek
"""

FUNCTIONS: Final = {
    "postgres": frozenset(f"{_COMMON} {_POSTGRES}".split()),
    # Not in SQLite, where a name that it does not know is a function of the application.
    "sqlite": frozenset(f"{_COMMON} {_SQLITE}".split())
    - frozenset({"ascii", "left", "lpad", "now", "repeat", "reverse", "right", "rpad", "version"}),
    "mysql": frozenset(f"{_COMMON} {_MYSQL}".split()),
    "duckdb": frozenset(f"{_COMMON} {_DUCKDB}".split()),
}
"""By dialect, the names of functions in lower case."""

_POSTGRES_TABLES = """
generate_series generate_subscripts json_array_elements json_array_elements_text json_each json_each_text
json_object_keys json_populate_recordset json_to_record json_to_recordset jsonb_array_elements
jsonb_array_elements_text jsonb_each jsonb_each_text jsonb_object_keys jsonb_path_query jsonb_populate_recordset
jsonb_to_record jsonb_to_recordset regexp_matches regexp_split_to_table string_to_table unnest
"""

TABLE_FUNCTIONS: Final = {
    "postgres": frozenset(_POSTGRES_TABLES.split()),
    "sqlite": frozenset({"json_each", "json_tree"}),
    "mysql": frozenset[str](),
    "duckdb": frozenset({"generate_series", "json_each", "json_tree", "range", "unnest"}),
}
"""By dialect, those that may stand where a table stands."""

SPECIAL_FORMS: Final = {
    "postgres": frozenset({"CAST", "EXTRACT", "OVERLAY", "POSITION", "STRING_AGG", "SUBSTRING", "TRIM"}),
    "sqlite": frozenset({"CAST"}),
    "mysql": frozenset({"CAST", "CONVERT", "EXTRACT", "GROUP_CONCAT", "MATCH", "POSITION", "SUBSTRING", "TRIM"}),
    "duckdb": frozenset({"CAST", "EXTRACT", "POSITION", "STRING_AGG", "SUBSTRING", "TRIM", "TRY_CAST"}),
}
"""By dialect, built-in functions that a parser may give a node of their own, as their arguments have a grammar."""

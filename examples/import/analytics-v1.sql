-- An analytics database of version 1, as another tool keeps it: sqlite3 analytics-v1.db < analytics-v1.sql
CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, event_type TEXT NOT NULL, artifact_name TEXT NOT NULL,
    artifact_type TEXT NOT NULL, collection_name TEXT, project_path TEXT,
    timestamp DATETIME DEFAULT CURRENT_TIMESTAMP, metadata TEXT);
CREATE TABLE usage_summary (artifact_name TEXT PRIMARY KEY, artifact_type TEXT NOT NULL, first_used DATETIME,
    last_used DATETIME, deploy_count INTEGER DEFAULT 0, update_count INTEGER DEFAULT 0, sync_count INTEGER DEFAULT 0,
    remove_count INTEGER DEFAULT 0, search_count INTEGER DEFAULT 0, total_events INTEGER DEFAULT 0);
INSERT INTO events (event_type, artifact_name, artifact_type, collection_name, project_path, timestamp, metadata) VALUES
    ('deploy', 'canvas', 'skill', 'default', '/srv/app', '2026-10-05 07:30:00', '{"version": "1.2.0"}'),
    ('update', 'canvas', 'skill', 'default', '/srv/app', '2026-10-06 07:30:00', '{"version": "1.3.0"}'),
    ('search', 'brush', 'skill', NULL, NULL, '2026-10-06 08:00:00', '{"query": "paint", "rank": 1}');
-- Four deploys and a search more than there are events: the tool has removed those.
INSERT INTO usage_summary (artifact_name, artifact_type, first_used, last_used, deploy_count, update_count, search_count,
    total_events) VALUES
    ('canvas', 'skill', '2026-01-05 09:30:00', '2026-10-06 07:30:00', 5, 1, 0, 6),
    ('brush', 'skill', '2026-02-01 10:00:00', '2026-10-06 08:00:00', 0, 0, 2, 2);

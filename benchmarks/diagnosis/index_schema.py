"""The tables that the labelled index cases read: generated, of plausible sizes, with indexes somebody thought of."""

SCHEMA = """
CREATE TABLE users (id int PRIMARY KEY, email text NOT NULL, name text NOT NULL, country text NOT NULL,
  city text, active bool NOT NULL, deleted_at timestamptz, created_at timestamptz NOT NULL, settings jsonb);
INSERT INTO users SELECT n, 'User' || n || '@example.org', 'name ' || md5(n::text), 'c' || n % 20, 'city ' || n % 3000,
  n % 20 <> 0, CASE WHEN n % 1000 = 0 THEN now() END, now() - n * interval '1 minute',
  jsonb_build_object('theme', n % 3, 'token', md5(n::text)) FROM generate_series(1, 100000::bigint) n;
CREATE TABLE posts (id int PRIMARY KEY, user_id int NOT NULL, title text NOT NULL, body text, status text NOT NULL,
  views int NOT NULL, tags text[], published_at timestamptz, created_at timestamptz NOT NULL);
INSERT INTO posts SELECT n, 1 + (n * 7919) % 20000, 'title ' || md5(n::text), repeat('x', 200),
  (ARRAY['draft','published','published','published'])[1 + n % 4], (n * 31) % 100000,
  ARRAY['t' || n % 500, 't' || n % 7], CASE WHEN n % 4 > 0 THEN now() - n * interval '10 seconds' END,
  now() - n * interval '10 seconds'
  FROM generate_series(1, 200000::bigint) n;
CREATE INDEX posts_created ON posts (created_at);
CREATE TABLE comments (id int PRIMARY KEY, post_id int NOT NULL, user_id int NOT NULL, text text, spam bool NOT NULL,
  created_at timestamptz NOT NULL);
INSERT INTO comments SELECT n, 1 + (n * 104729) % 50000, 1 + (n * 31) % 20000, 'comment ' || n, n % 500 = 0,
  now() - n * interval '5 seconds' FROM generate_series(1, 200000::bigint) n;
CREATE INDEX comments_post ON comments (post_id, created_at);
CREATE TABLE orders (id int PRIMARY KEY, user_id int NOT NULL, product_id int NOT NULL, status text NOT NULL,
  total int NOT NULL, shipped_at timestamptz, created_at timestamptz NOT NULL);
INSERT INTO orders SELECT n, 1 + (n * 17) % 40000, 1 + (n * 13) % 5000,
  CASE WHEN n % 300 = 0 THEN 'open' ELSE 'done' END, n % 1000, CASE WHEN n % 200 > 0 THEN now() END,
  now() - n * interval '20 seconds' FROM generate_series(1, 200000::bigint) n;
CREATE INDEX orders_user ON orders (user_id);
CREATE TABLE products (id int PRIMARY KEY, sku text NOT NULL UNIQUE, category int NOT NULL, brand int NOT NULL,
  price int NOT NULL, name text NOT NULL, stock int NOT NULL);
INSERT INTO products SELECT n, 'sku' || n, n % 50, n % 400, (n * 37) % 10000, 'product ' || md5(n::text), n % 100
  FROM generate_series(1, 50000::bigint) n;
CREATE TABLE countries (code text PRIMARY KEY, name text NOT NULL, region text NOT NULL);
INSERT INTO countries SELECT 'c' || n, 'country ' || n, 'r' || n % 5 FROM generate_series(1, 200::bigint) n;
CREATE TABLE events (id bigserial, kind int NOT NULL, source int NOT NULL, at timestamptz NOT NULL);
INSERT INTO events (kind, source, at) SELECT n % 5, n % 2, now() - n * interval '1 second'
  FROM generate_series(1, 200000::bigint) n;
CREATE SCHEMA billing;
CREATE TABLE billing."Invoice" (id int PRIMARY KEY, "customerId" int NOT NULL, due date NOT NULL, paid bool NOT NULL);
INSERT INTO billing."Invoice" SELECT n, n % 9000, date '2026-01-01' + (n % 700)::int, n % 50 <> 0
  FROM generate_series(1, 100000::bigint) n;
CREATE TABLE followers (follower_id int NOT NULL, followed_id int NOT NULL, PRIMARY KEY (follower_id, followed_id));
INSERT INTO followers SELECT n % 20000, (n * 7) % 19997
  FROM generate_series(1, 150000::bigint) n ON CONFLICT DO NOTHING;
"""

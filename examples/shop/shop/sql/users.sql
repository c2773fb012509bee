-- name: by_id
-- The public profile of one user.
SELECT id, name, country, created_at FROM users WHERE id = %(id)s

-- name: by_email
-- Who has this address? The first to have registered it: nothing in the slow form keeps an address unique.
SELECT id, email, name, country, created_at FROM users WHERE email = %(email)s ORDER BY id LIMIT 1

-- name: page
-- One page of users, in the order they registered.
SELECT id, name, country, created_at FROM users ORDER BY id LIMIT %(limit)s OFFSET %(offset)s

-- name: posts_of_one
-- The latest posts of one user: asked once a user on the page, this is the N+1.
SELECT id, user_id, title, created_at FROM posts
WHERE user_id = %(user_id)s ORDER BY created_at DESC, id DESC LIMIT %(posts)s

-- name: posts_of_many
-- The latest posts of each of several users, in one statement.
SELECT id, user_id, title, created_at FROM (
    SELECT id, user_id, title, created_at,
           row_number() OVER (PARTITION BY user_id ORDER BY created_at DESC, id DESC) AS place
    FROM posts WHERE user_id = ANY(%(user_ids)s)
) AS ranked
WHERE place <= %(posts)s ORDER BY user_id, place

-- name: rename
-- A new name for one user.
UPDATE users SET name = %(name)s WHERE id = %(id)s RETURNING id, name, country, created_at

-- name: orders
-- The latest orders of one user.
SELECT id, user_id, product_id, quantity, total_cents, status, created_at FROM orders
WHERE user_id = %(user_id)s ORDER BY created_at DESC, id DESC LIMIT %(limit)s

-- name: by_ids
-- The public profiles of several users.
SELECT id, name, country, created_at FROM users WHERE id = ANY(%(ids)s)

-- name: by_emails
-- Who has these addresses? Of each the first to have registered it.
SELECT DISTINCT ON (email) id, email, name, country, created_at FROM users
WHERE email = ANY(%(emails)s) ORDER BY email, id

-- name: orders_of_many
-- The latest orders of each of several users; of each as many as are asked for.
SELECT found.* FROM unnest(%(user_ids)s::bigint[], %(limits)s::bigint[]) AS asked (user_id, most)
CROSS JOIN LATERAL (
    SELECT id, user_id, product_id, quantity, total_cents, status, created_at FROM orders
    WHERE orders.user_id = asked.user_id ORDER BY created_at DESC, id DESC LIMIT asked.most
) AS found

-- name: rename_many
-- New names for several users, each once. Locked in one order, so that two of these cannot wait for each other.
WITH locked AS (
    SELECT id FROM users WHERE id = ANY(%(ids)s) ORDER BY id FOR NO KEY UPDATE
)
UPDATE users SET name = wanted.name
FROM unnest(%(ids)s::bigint[], %(names)s::text[]) AS wanted (id, name) JOIN locked ON locked.id = wanted.id
WHERE users.id = wanted.id RETURNING users.id, users.name, country, created_at

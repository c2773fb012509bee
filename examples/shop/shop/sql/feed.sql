-- name: latest
-- The latest posts of all users with their authors' names.
SELECT id, user_id, (SELECT name FROM users WHERE users.id = posts.user_id) AS author, title, body, created_at
FROM posts ORDER BY created_at DESC, id DESC LIMIT %(limit)s

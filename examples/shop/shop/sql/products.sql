-- name: by_id
-- One product and what is left of it.
SELECT id, name, category, price_cents, stock, created_at FROM products WHERE id = %(id)s

-- name: by_category
-- The cheapest products of a category. Without stock: that changes with each order, and the listing is kept a while.
SELECT id, name, category, price_cents, created_at FROM products
WHERE category = %(category)s ORDER BY price_cents, id LIMIT %(limit)s

-- name: by_ids
-- Several products and what is left of each.
SELECT id, name, category, price_cents, stock, created_at FROM products WHERE id = ANY(%(ids)s)

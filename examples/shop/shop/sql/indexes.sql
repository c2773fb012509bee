-- name: shop_users_email
-- GET /users/by-email
CREATE INDEX CONCURRENTLY IF NOT EXISTS shop_users_email ON users (email)

-- name: shop_posts_user_latest
-- GET /users: the latest posts of each user
CREATE INDEX CONCURRENTLY IF NOT EXISTS shop_posts_user_latest ON posts (user_id, created_at DESC, id DESC)

-- name: shop_posts_latest
-- GET /feed
CREATE INDEX CONCURRENTLY IF NOT EXISTS shop_posts_latest ON posts (created_at DESC, id DESC)

-- name: shop_products_category_price
-- GET /products: in the order of the listing
CREATE INDEX CONCURRENTLY IF NOT EXISTS shop_products_category_price ON products (category, price_cents, id)

-- name: shop_orders_user
-- GET /users/{id}/orders
CREATE INDEX CONCURRENTLY IF NOT EXISTS shop_orders_user ON orders (user_id, created_at DESC, id DESC)

//! What the data folder keeps beside the database.

use std::os::unix::fs::PermissionsExt;

use wealth_companion::clock::Clock;

use crate::support::World;

#[tokio::test]
async fn the_key_of_the_data_folder_is_private_and_stays() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let file = world.data_dir.path().join("jwt_secret_key");
    let mode = std::fs::metadata(&file)
        .expect("the key")
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o600);
    let key = std::fs::read(&file).expect("the key");
    let (ended, folder) = world.stop().await;
    ended.expect("a clean end");
    let world = World::on(folder, &[], Clock::system()).await;
    assert_eq!(std::fs::read(&file).expect("the key"), key);
    ada.at(&world).get("/v1/me").await.expect(200);

    let other = World::start().await;
    let other_key = std::fs::read(other.data_dir.path().join("jwt_secret_key")).expect("the key");
    assert_ne!(other_key, key, "each folder has its own");
    ada.at(&other)
        .get("/v1/me")
        .await
        .problem(401, "unauthorized");
}

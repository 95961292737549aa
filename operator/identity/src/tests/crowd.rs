use std::future::pending;

use tokio::sync::oneshot;

use crate::crowd::Crowd;

/// A task that never ends, and whether it was ended.
fn held(crowd: &mut Crowd) -> oneshot::Receiver<()> {
    let (alive, ended) = oneshot::channel::<()>();
    crowd.add(async move {
        let _alive = alive;
        pending::<()>().await;
    });
    ended
}

#[tokio::test]
async fn the_oldest_makes_room_for_the_newest() {
    let mut crowd = Crowd::of(2);
    let first = held(&mut crowd);
    let mut second = held(&mut crowd);
    let mut third = held(&mut crowd);
    assert!(first.await.is_err());
    assert_eq!(second.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    assert_eq!(third.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    drop(crowd);
    assert!(second.await.is_err());
    assert!(third.await.is_err());
}

#[tokio::test]
async fn those_that_are_done_take_no_room() {
    let mut crowd = Crowd::of(2);
    let mut first = held(&mut crowd);
    for _ in 0..8 {
        let (done, wait) = oneshot::channel();
        crowd.add(async move {
            let _ = done.send(());
        });
        wait.await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(first.try_recv(), Err(oneshot::error::TryRecvError::Empty));
}
